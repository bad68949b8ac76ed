package packaging_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"xrx/internal/testnet"
)

// command is ExecStart with the unit's own XRX_ARGS, for an interface.
func (u unit) command(t *testing.T, xrx, iface, runtime string) []string {
	t.Helper()
	var args []string
	for _, word := range u.words(t, "ExecStart")[1:] {
		switch word {
		case "$XRX_ARGS":
			set := strings.TrimPrefix(strings.Trim(u["Environment"][0], `"`), "XRX_ARGS=")
			args = append(args, strings.Fields(set)...)
			args = append(args, "--frames", "512") // this machine may not let a test have LimitMEMLOCK=infinity
		case "${RUNTIME_DIRECTORY}":
			args = append(args, runtime)
		default:
			args = append(args, strings.ReplaceAll(word, "%i", iface))
		}
	}
	return append([]string{xrx}, args...)
}

// The command as the unit starts it, as an ordinary user behind the unit's capabilities, system calls, socket families
// and read-only files, receives packets over veth; with one thing less it does not.
func TestTheUnitsCommandReceivesBehindTheUnitsRestrictionsAndNeedsWhatTheyLeave(t *testing.T) {
	testnet.Require(t, "root", "veth", "cmd:systemd-analyze", "cmd:setpriv", "cmd:ip")
	u := readUnit(t)
	without := func(list []string, name string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == name })
	}
	for _, c := range []struct {
		name   string
		change func(*sandbox)
		fails  string // what the complaint names; "": it works
	}{
		{"as it is", func(*sandbox) {}, ""},
		{"without bpf in SystemCallFilter", func(s *sandbox) { s.Syscalls = without(s.Syscalls, "bpf") }, "CAP_BPF"},
		{"without AF_XDP in RestrictAddressFamilies", func(s *sandbox) {
			s.Families = slices.DeleteFunc(slices.Clone(s.Families), func(f uint64) bool { return f == families["AF_XDP"] })
		}, "AF_XDP"},
		{"without CAP_PERFMON", func(s *sandbox) { s.Capabilities = without(s.Capabilities, "CAP_PERFMON") }, "CAP_PERFMON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := testnet.New(t, testnet.Options{Queues: 2})
			runtime, err := os.MkdirTemp("", "xrx-run-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(runtime) })
			if err := os.Chown(runtime, 65534, 65534); err != nil {
				t.Fatal(err)
			}
			s := u.sandbox(t, runtime)
			s.Command = u.command(t, binary(t), n.B.Iface, runtime)
			c.change(&s)
			n.Exec(n.B, "ip", "link", "set", "lo", "up") // the metrics are on loopback
			self, err := os.Open(os.Args[0])             // lies where only this user may look
			if err != nil {
				t.Fatal(err)
			}
			defer self.Close()
			cmd := s.exec(t)
			cmd.ExtraFiles = []*os.File{self}
			p := start(t, n, cmd)
			if c.fails != "" {
				p.complains(t, c.fails)
				return
			}
			p.receives(t, n, 9)
			status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "status"))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"Uid:\t65534\t65534", "CapEff:\t000000c000003000", "CapBnd:\t000000c000003000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
				if !strings.Contains(string(status), want) {
					t.Errorf("the process is not %q:\n%s", want, status)
				}
			}
			p.ends(t, 20*time.Second) // TimeoutStopSec
			if !strings.Contains(p.stdout.String(), "lost 0") {
				t.Errorf("%q", p.stdout.String())
			}
			if strings.Contains(p.stderr.String(), "warning") {
				t.Errorf("it warns: %s", p.stderr.String())
			}
		})
	}
}
