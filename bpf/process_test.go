package bpf_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xrx/bpf"
	"xrx/internal/testnet"
)

// childRole makes this test binary another process: what it then does is in children.
const childRole = "XRX_BPF_TEST_CHILD"

var children = map[string]func() error{
	"attach":          attachAndWait,
	"no capabilities": func() error { return loadWith(0) },
	"no CAP_PERFMON":  func() error { return loadWith(1<<unix.CAP_BPF | 1<<unix.CAP_NET_ADMIN) },
	"enough": func() error {
		return loadWith(1<<unix.CAP_BPF | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_PERFMON)
	},
}

func TestMain(m *testing.M) {
	if child, ok := children[os.Getenv(childRole)]; ok {
		if err := child(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// attachAndWait attaches to b0, says so, and stays until its input ends.
func attachAndWait() error {
	ifc, err := net.InterfaceByName("b0")
	if err != nil {
		return err
	}
	p, err := bpf.Load(bpf.Options{})
	if err != nil {
		return err
	}
	if _, err := p.Attach(ifc.Index, bpf.Auto); err != nil {
		return err
	}
	fmt.Println("attached")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// loadWith gives up all capabilities but those and goes through what a receiver does with the program.
func loadWith(caps uint64) error {
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: uint32(caps), Permitted: uint32(caps)},
		{Effective: uint32(caps >> 32), Permitted: uint32(caps >> 32)},
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return err
	}
	ifc, err := net.InterfaceByName("b0")
	if err != nil {
		return err
	}
	p, err := bpf.Load(bpf.Options{HWMeta: true, IfIndex: ifc.Index})
	if err != nil {
		return err
	}
	a, err := p.Attach(ifc.Index, bpf.Auto)
	if err != nil {
		return err
	}
	if !a.HWMeta() {
		return fmt.Errorf("without hardware metadata: %v", a.Attempts())
	}
	if _, err := p.Counters(); err != nil {
		return err
	}
	return errors.Join(a.Close(), p.Close())
}

// start runs a child inside end B.
func start(t *testing.T, n *testnet.Net, role string) (pid int, out *bufio.Reader, wait func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	cmd, run := n.B.Command(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), childRole+"="+role)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	t.Cleanup(func() { stdin.Close() })
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, run())
	return cmd.Process.Pid, bufio.NewReader(stdout), cmd.Wait
}

func TestNothingIsLeftOfAProcessThatWasKilled(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	pid, out, wait := start(t, n, "attach")
	if line, err := out.ReadString('\n'); line != "attached\n" {
		t.Fatalf("child: %s (%v)", line, err)
	}
	n.InB(func() {
		p := load(t, bpf.Options{})
		_, err := p.Attach(n.B.Index, bpf.Auto)
		var busy *bpf.BusyError
		if !errors.As(err, &busy) || busy.PID != pid || busy.Name != "xrx_rx" || !busy.ByLink {
			t.Errorf("while the child lives: %v; want a BusyError that names process %d", err, pid)
		}
		must(t, syscall.Kill(pid, syscall.SIGKILL))
		_ = wait() // "signal: killed"
		eventually(t, "the killed process's program detached", func() bool {
			id, _ := attached(t, n.B.Index)
			return id == 0
		})
		a, err := p.Attach(n.B.Index, bpf.Auto)
		must(t, err)
		must(t, a.Close())
	})
}

func TestCapabilitiesNeeded(t *testing.T) {
	testnet.Require(t, "root", "veth")
	const words = "not permitted: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
	tests := []struct {
		role string
		want string // in what it prints; empty: success
	}{
		{"no capabilities", words},
		{"no CAP_PERFMON", words},
		{"enough", ""},
	}
	for _, test := range tests {
		t.Run(test.role, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{})
			_, out, wait := start(t, n, test.role)
			said, err := io.ReadAll(out)
			must(t, err)
			err = wait()
			if (err == nil) != (test.want == "") || !strings.Contains(string(said), test.want) {
				t.Errorf("child: %v, %s; want %q", err, said, test.want)
			}
		})
	}
}

// eventually polls a condition that the kernel brings about in its own time.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 5 s: %s", what)
		}
	}
}
