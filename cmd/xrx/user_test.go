package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"xrx/internal/netdev"
	"xrx/internal/testnet"
)

const nobody = 65534

// everyonesCommand returns a function that makes xrx as a child process like command, from a copy that every user may run.
func everyonesCommand(t *testing.T) func(args ...string) *exec.Cmd {
	t.Helper()
	dir, err := os.MkdirTemp("", "xrx-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(dir, "xrx.test")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return func(args ...string) *exec.Cmd {
		cmd := command(args...)
		cmd.Path = path
		return cmd
	}
}

// An ordinary user with the four capabilities of the README receives; with one of them left out the error names it.
func TestAnOrdinaryUserNeedsFourCapabilitiesAndIsToldWhichIsMissing(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	xrx := everyonesCommand(t)
	all := map[string]uintptr{"CAP_NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_NET_RAW": unix.CAP_NET_RAW, "CAP_BPF": unix.CAP_BPF, "CAP_PERFMON": unix.CAP_PERFMON}
	for _, without := range []string{"", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF", "CAP_PERFMON"} {
		for _, mode := range []string{"native", "skb"} {
			t.Run("without "+without+" "+mode, func(t *testing.T) {
				cmd := xrx("run", n.B.Iface, "--frames", "512", "--mode", mode, "--interval", "20ms", "--count", "20")
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
				for name, c := range all {
					if name != without {
						cmd.SysProcAttr.AmbientCaps = append(cmd.SysProcAttr.AmbientCaps, c)
					}
				}
				var out, complaint transcript
				cmd.Stdout, cmd.Stderr = &out, &complaint
				n.InB(func() {
					if err := cmd.Start(); err != nil {
						t.Fatal(err)
					}
				})
				done := make(chan result, 1)
				go func() {
					cmd.Wait()
					done <- result{cmd.ProcessState.ExitCode(), out.String(), complaint.String()}
				}()
				r := feed(t, n, done)
				switch {
				case without == "" && (r.code != 0 || !strings.Contains(r.stdout, "lost 0") || !strings.Contains(r.stdout, "received")):
					t.Errorf("code %d, %q, %q", r.code, r.stdout, r.stderr)
				case without != "" && (r.code != 1 || !strings.Contains(r.stderr, "this process lacks "+without)):
					t.Errorf("code %d, %q: want the missing one named", r.code, r.stderr)
				}
				if without != "" {
					t.Log(strings.TrimSpace(r.stderr))
				}
			})
		}
	}
}

// threads are the distinct values of a line of /proc/PID/task/*/status.
func threads(t *testing.T, pid int, key string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/status")
	if err != nil || len(files) == 0 {
		t.Fatal("no threads", err)
	}
	found := map[string]bool{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it ended
		}
		if m := regexp.MustCompile(`(?m)^` + key + `:\s*(.*)$`).FindSubmatch(text); m != nil {
			found[strings.Join(strings.Fields(string(m[1])), " ")] = true
		}
	}
	return found
}

func only(m map[string]bool, want string) bool { return len(m) == 1 && m[want] }

// After --user every thread is that user's, with no capability but those that a flag still needs, and receives.
func TestUserGivesUpRootOnEveryThreadAndGoesOnReceiving(t *testing.T) {
	testnet.Require(t, "root", "veth")
	file := filepath.Join(t.TempDir(), "match")
	if err := os.WriteFile(file, []byte("udp or tcp"), 0o644); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(file); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, args, says, caps string
	}{
		{"nothing is needed", "--user nobody", "now nobody, without capabilities", "0000000000000000"},
		{"by number", "--user 65534:65534", "now 65534:65534, without capabilities", "0000000000000000"},
		{"to replace the expression", "--user nobody --match-file " + file, "CAP_NET_ADMIN CAP_BPF CAP_PERFMON to replace the expression", "000000c000001000"},
		{"to wait", "--user nobody --wait", "CAP_NET_RAW CAP_BPF CAP_PERFMON CAP_IPC_LOCK to open the interface", "000000c000007000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := testnet.New(t, testnet.Options{Queues: 2})
			cmd := command(append([]string{"run", n.B.Iface, "--frames", "512", "--interval", "20ms"}, strings.Fields(c.args)...)...)
			var out, complaint transcript
			cmd.Stdout, cmd.Stderr = &out, &complaint
			n.InB(func() {
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
			})
			t.Cleanup(func() { cmd.Process.Kill() })
			complaint.await(t, "it says who it is", func(s string) bool { return strings.Contains(s, c.says) })
			out.await(t, "it runs", func(s string) bool { return strings.Count(s, "\n") > 4 })
			pid := cmd.Process.Pid
			for key, want := range map[string]string{"Uid": "65534 65534 65534 65534", "Gid": "65534 65534 65534 65534", "CapEff": c.caps, "CapPrm": c.caps,
				"CapInh": "0000000000000000", "CapAmb": "0000000000000000", "NoNewPrivs": "1"} {
				if got := threads(t, pid, key); !only(got, want) {
					t.Errorf("%s of the threads: %v, want %s", key, got, want)
				}
			}
			s, list := n.Sender(), traffic(n, 8, 4)
			line := regexp.MustCompile(`[1-9][0-9.]* k?pps`)
			for deadline := time.Now().Add(10 * time.Second); !line.MatchString(out.String()); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("nothing is received: %q", out.String())
				}
				s.Send(list...)
			}
			if strings.Contains(c.args, file) { // the reload loads a program: with what is left that works
				if err := os.WriteFile(file, []byte("udp port 1024"), 0o644); err != nil {
					t.Fatal(err)
				}
				cmd.Process.Signal(syscall.SIGHUP)
				complaint.await(t, "the new expression", func(s string) bool { return strings.Contains(s, "xrx: match: udp port 1024\n") })
			}
			if strings.Contains(c.args, "--wait") {
				if err := n.B.Delete(); err != nil {
					t.Fatal(err)
				}
				n.Recreate()
				complaint.await(t, "it is open again", func(s string) bool { return strings.Count(s, "open, native+copy") == 2 })
			}
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(out.String(), "lost 0") {
				t.Errorf("code %d: %q %q", code, out.String(), complaint.String())
			}
		})
	}
}

// To attach a program that is loaded already takes no capability (tried on 6.18).
func TestAProgramThatIsTakenFromAnUnprivilegedRunIsPutBack(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	cmd := command("run", n.B.Iface, "--frames", "512", "--interval", "20ms", "--user", "nobody")
	var out, complaint transcript
	cmd.Stdout, cmd.Stderr = &out, &complaint
	n.InB(func() {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { cmd.Process.Kill() })
	out.await(t, "it runs", func(s string) bool { return strings.Count(s, "\n") > 4 })
	n.InB(func() {
		there, err := netdev.XDPPrograms(n.B.Index)
		if err != nil || len(there) != 1 || !there[0].ByLink {
			t.Fatalf("%+v, %v", there, err)
		}
		l, err := link.NewFromID(link.ID(there[0].LinkID))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := l.Detach(); err != nil {
			t.Fatal(err)
		}
	})
	complaint.await(t, "it is put back", func(s string) bool { return strings.Contains(s, "somebody detached the XDP program; it is back") })
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	if cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("code %d: %q", cmd.ProcessState.ExitCode(), complaint.String())
	}
}

func TestUserRefusesWhatCannotWork(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--user no-such-user-here", "no user"},
		{"--user root", "not an ordinary user"},
		{"--user 0:0", "not an ordinary user"},
		{"--user 1:x", "UID:GID"},
		{"--user nobody --gro-flush-timeout 20us", "put the interface's settings back"},
	} {
		var out, complaint transcript
		code := execute(t.Context(), env{&out, &complaint}, append([]string{"run", "eth7"}, strings.Fields(c.args)...))
		if code != 2 || !strings.Contains(complaint.String(), c.want) {
			t.Errorf("%s: code %d, %q", c.args, code, complaint.String())
		}
	}
}
