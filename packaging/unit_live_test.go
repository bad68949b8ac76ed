package packaging_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"xrx/internal/frames"
	"xrx/internal/testnet"
)

// transcript is what a running command writes.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

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
			var stdout, stderr transcript
			cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &stdout, &stderr, []*os.File{self}
			n.InB(func() {
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
			})
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			defer func() { cmd.Process.Kill() }()
			if c.fails != "" {
				select {
				case err := <-ended:
					if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.HasPrefix(stderr.String(), "xrx: ") || !strings.Contains(stderr.String(), c.fails) {
						t.Errorf("%v, %q %q: want a complaint that names %s, and code 1", err, stdout.String(), stderr.String(), c.fails)
					}
				case <-time.After(60 * time.Second):
					t.Fatalf("it runs: %q %q", stdout.String(), stderr.String())
				}
				return
			}
			f := frames.UDP(netip.AddrPortFrom(n.A.IP4, 1024), netip.AddrPortFrom(n.B.IP4, 9), make([]byte, 100))
			f.SrcMAC, f.DstMAC = n.A.MAC, n.B.MAC
			sender, frame := n.Sender(), f.Append(nil)
			client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(_ context.Context, network, addr string) (c net.Conn, err error) {
				err = n.B.Do(func() error { // the socket must be of that namespace
					c, err = net.DialTimeout(network, addr, 5*time.Second)
					return err
				})
				return c, err
			}}}
			received := regexp.MustCompile(`(?m)^xrx_rx_packets_total\{[^}]*\} [1-9]`)
			var page string
			for deadline := time.Now().Add(60 * time.Second); !received.MatchString(page); time.Sleep(5 * time.Millisecond) {
				select {
				case err := <-ended:
					t.Fatalf("ended: %v, %q %q", err, stdout.String(), stderr.String())
				default:
				}
				if time.Now().After(deadline) {
					t.Fatalf("nothing is received: %q %q\n%s", stdout.String(), stderr.String(), page)
				}
				sender.Send(frame)
				if r, err := client.Get("http://127.0.0.1:9780/metrics"); err == nil {
					text, _ := io.ReadAll(r.Body)
					r.Body.Close()
					page = string(text)
				}
			}
			status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "status"))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"Uid:\t65534\t65534", "CapEff:\t000000c000003000", "CapBnd:\t000000c000003000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
				if !strings.Contains(string(status), want) {
					t.Errorf("the process is not %q:\n%s", want, status)
				}
			}
			cmd.Process.Signal(syscall.SIGTERM)
			select {
			case err := <-ended:
				if err != nil || !strings.Contains(stdout.String(), "lost 0") {
					t.Errorf("%v, %q %q", err, stdout.String(), stderr.String())
				}
			case <-time.After(20 * time.Second): // TimeoutStopSec
				t.Errorf("SIGTERM does not end it in time: %q", stdout.String())
			}
			if strings.Contains(stderr.String(), "warning") {
				t.Errorf("it warns: %s", stderr.String())
			}
		})
	}
}
