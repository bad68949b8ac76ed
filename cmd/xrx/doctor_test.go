package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"xrx/internal/doctor"
	"xrx/internal/testnet"
	"xrx/internal/vethnet"
)

func TestDoctorAskedWronglyEndsWithCode2(t *testing.T) {
	for args, want := range map[string]string{
		"doctor":                    "one interface",
		"doctor lo eth1":            "one interface",
		"doctor lo --try sometimes": `--try "sometimes"`,
		"doctor lo --restart":       "--restart",
	} {
		code, stdout, stderr := runCommand(context.Background(), strings.Fields(args)...)
		if code != 2 || stdout != "" {
			t.Errorf("xrx %s: code %d, stdout %q: want 2 and nothing", args, code, stdout)
		}
		wantLine(t, stderr, want)
	}
}

// doctorReport parses what --json printed: one object, which has these fields and no other.
func doctorReport(t *testing.T, stdout string) (r doctor.Report, by map[string]doctor.Check) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatalf("%v: %q", err, stdout)
	}
	if d.More() {
		t.Errorf("more than one object: %q", stdout)
	}
	by = map[string]doctor.Check{}
	for _, c := range r.Checks {
		by[c.ID] = c
	}
	return r, by
}

func TestDoctorOfAnInterfaceThatIsNotThereFailsInOneLine(t *testing.T) {
	code, stdout, stderr := runCommand(context.Background(), "doctor", "nosuch0")
	if code != 1 || stdout != "" {
		t.Errorf("code %d, stdout %q: want 1 and nothing", code, stdout)
	}
	wantLine(t, stderr, `no interface "nosuch0" here`)

	code, stdout, stderr = runCommand(context.Background(), "doctor", "nosuch0", "--json")
	r, by := doctorReport(t, stdout)
	if code != 1 || r.Verdict != doctor.Fail || by["interface"].Verdict != doctor.Fail || len(by) != 1 {
		t.Errorf("code %d, %+v: want 1 and one failed check", code, r)
	}
	wantLine(t, stderr, `no interface "nosuch0" here`)
}

// doctorIn runs xrx doctor on b0 in its namespace.
func doctorIn(t *testing.T, n *testnet.Net, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	n.InB(func() {
		code, stdout, stderr = runCommand(t.Context(), append([]string{"doctor", n.B.Iface}, args...)...)
	})
	return code, stdout, stderr
}

func TestDoctorsExitCodeIsForScripts(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	t.Setenv("SSH_CONNECTION", "")
	n := testnet.New(t, testnet.Options{MTU: 1200}) // no IPv6, whose addresses are lost when the interface goes down
	_, first, _ := doctorIn(t, n, "--json")
	r, _ := doctorReport(t, first)
	if r.Verdict == doctor.Fail {
		t.Skipf("this machine fails by itself: %v", r.Failed())
	}
	if err := n.A.SetOffload(vethnet.TxChecksum, true); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := doctorIn(t, n)
	if code != 0 || stderr != "" || !strings.Contains(stdout, "warn  peer ") || !strings.Contains(stdout, "ethtool -K a0 tx off\n") || !strings.Contains(stdout, ", 0 fail\n") {
		t.Errorf("with a warning: code %d, stderr %q, stdout\n%s", code, stderr, stdout)
	}
	if err := n.B.Down(); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = doctorIn(t, n)
	if code != 1 || !strings.Contains(stdout, "fail  link ") || !strings.Contains(stdout, ", 1 fail\n") {
		t.Errorf("with a failure: code %d, stdout\n%s", code, stdout)
	}
	wantLine(t, stderr, "b0: 1 of ", "checks failed: link")
	code, stdout, stderr = doctorIn(t, n, "--json")
	if r, by := doctorReport(t, stdout); code != 1 || r.Verdict != doctor.Fail || r.Interface != "b0" || r.Driver != "veth" || by["link"].Fix != "ip link set dev b0 up" {
		t.Errorf("code %d, %+v", code, r)
	}
	wantLine(t, stderr, "checks failed: link")
}

// Nobody may ask the kernel most things; doctor says what it may not know, and what is missing.
func TestDoctorWithoutPrivilegeSaysWhichIsMissing(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{})
	binary := publicCopy(t)
	lockable(t, 8<<20)
	four := []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF, unix.CAP_PERFMON}
	for _, c := range []struct {
		name    string
		ambient []uintptr
		code    int
		want    map[string]string // by check: verdict and a part of what was found
	}{
		{"nobody", nil, 1, map[string]string{
			"capabilities": "fail missing: CAP_NET_ADMIN CAP_NET_RAW CAP_BPF CAP_PERFMON",
			"zero-copy":    "warn could not be tried: socket(AF_XDP): operation not permitted",
			"peer":         "warn can't be seen",
			"napi":         "ok /sys is of another network namespace",
			"link":         "ok up",
			"mtu":          "ok MTU 1500",
			"xdp-programs": "ok no other XDP program",
			"memlock":      "ok all queues at default size need 8192 KiB",
		}},
		{"nobody without one of the four", four[:3], 1, map[string]string{
			"capabilities": "fail missing: CAP_PERFMON",
		}},
		{"nobody with the four", four, 0, map[string]string{
			"capabilities": "ok effective",
			"zero-copy":    "warn operation not supported",
			"memlock":      "ok all queues at default size need 8192 KiB",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			cmd := command("doctor", n.B.Iface, "--json")
			cmd.Path, cmd.Dir = binary, "/"
			cmd.Env = append(cmd.Env, "SSH_CONNECTION=")
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: c.ambient}
			var err error
			n.InB(func() { err = cmd.Run() })
			if cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("code %d, want %d: %s", code, c.code, stderr.String())
			}
			_, by := doctorReport(t, stdout.String())
			for id, want := range c.want {
				verdict, found, _ := strings.Cut(want, " ")
				if got := by[id]; string(got.Verdict) != verdict || !strings.Contains(got.Found, found) {
					t.Errorf("%s: %s: %q, want %q", id, got.Verdict, got.Found, want)
				}
			}
			if fix := by["capabilities"].Fix; c.code == 1 && fix != fmt.Sprintf("sudo setcap cap_net_admin,cap_net_raw,cap_bpf,cap_perfmon=ep %s", binary) {
				t.Errorf("fix %q", fix)
			}
		})
	}
}

// lockable sees to it that children may lock so many bytes, until the test ends.
func lockable(t *testing.T, bytes uint64) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &was); err != nil {
		t.Fatal(err)
	}
	if was.Cur >= bytes {
		return
	}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: bytes, Max: max(bytes, was.Max)}); err != nil {
		t.Skipf("only %d bytes can be locked, and the limit can't be raised: %v", was.Cur, err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &was); err != nil {
			t.Error(err)
		}
	})
}
