package privsep_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf/link"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"xrx/bpf"
	"xrx/internal/privilege"
	"xrx/internal/sys"
	"xrx/internal/testnet"
	"xrx/privsep"
	"xrx/umem"
	"xrx/xsk"
)

// Environment of a receiver that tries what it must not.
const (
	malicious = "XRX_TEST_MALICIOUS" // the helper's socket
	asUID     = "XRX_TEST_UID"
	otherLink = "XRX_TEST_LINK" // id of the helper's link, as if it had been found out
)

func TestMain(m *testing.M) {
	if socket := os.Getenv(malicious); socket != "" {
		if err := tryEverything(socket); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// tryEverything returns what was possible, and should not have been.
func tryEverything(socket string) error {
	uid, err := strconv.Atoi(os.Getenv(asUID))
	if err != nil {
		return err
	}
	if err := (privilege.User{Name: "someone", UID: uid, GID: uid}).Become(); err != nil {
		return err
	}
	g, err := privsep.Open(socket, privsep.Request{Interface: "b0", Queues: []int{0}, Options: bpf.Options{}})
	if err != nil {
		return err
	}
	defer g.Close()
	var errs []error
	want := func(what string, got error, errno syscall.Errno) {
		if !errors.Is(got, errno) {
			errs = append(errs, fmt.Errorf("%s: %v, want %w", what, got, errno))
		}
	}
	fd := g.TakeSocket(0)
	region, err := umem.New(umem.Config{Frames: 64})
	if err != nil {
		return err
	}
	defer region.Close()
	s, err := xsk.Open(xsk.Config{FD: fd, Umem: region, IfIndex: 1, Iface: "lo", FillSize: 64, RxSize: 64, TxSize: 64})
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Bind(xsk.Copy, false)
	want("bind to lo", err, unix.EINVAL)
	want("lift the restriction", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, 0), unix.EPERM)
	want("restrict to lo", unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "lo"), unix.EPERM)
	_, err = sys.XSKSocket()
	want("a socket of its own", err, unix.EPERM)

	files, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return err
	}
	for _, f := range files {
		target, err := os.Readlink(f)
		if err != nil || !strings.Contains(target, "bpf") {
			continue
		}
		errs = append(errs, fmt.Errorf("it has a %s", target))
	}
	mappings, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	maps := 0
	for line := range strings.Lines(string(mappings)) {
		var begin, end uintptr
		if !strings.Contains(line, "bpf-map") {
			continue
		}
		if _, err := fmt.Sscanf(line, "%x-%x r--s", &begin, &end); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		maps++
		_, _, errno := unix.Syscall(unix.SYS_MPROTECT, begin, end-begin, unix.PROT_READ|unix.PROT_WRITE)
		want("write what the program writes", errno, unix.EACCES)
	}
	if maps != 2 {
		errs = append(errs, fmt.Errorf("it has %d maps in its memory, want the counters and the program's word", maps))
	}
	_, err = bpf.Load(bpf.Options{})
	want("load a program", err, unix.EPERM)
	id, err := strconv.ParseUint(os.Getenv(otherLink), 10, 32)
	if err != nil {
		return err
	}
	_, err = link.NewFromID(link.ID(id))
	want("open a link by its id", err, unix.EPERM)
	for _, queue := range []int{1, 2, -1} {
		if err := g.Register(queue, fd); err == nil || !strings.Contains(err.Error(), "was not given: 0 were") {
			errs = append(errs, fmt.Errorf("register queue %d: %v", queue, err))
		}
	}
	if _, err := g.Counters(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func TestAReceiverCanDoNothingBeyondWhatItWasGiven(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 2})
	dir, err := os.MkdirTemp("", "xrx-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	uid := 2_000_000 + os.Getpid() // nobody else's: locked memory is counted by user
	l, err := privsep.Listen(filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	var s *privsep.Server
	var other *bpf.Program
	var on *bpf.Attachment
	n.InB(func() {
		if s, err = privsep.NewServer(privsep.Policy{Interfaces: []string{"b0"}, UIDs: []int{uid}, Queues: []int{0}}); err != nil {
			t.Fatal(err)
		}
	})
	n.InB(func() { // what a socket that is not confined does
		region, err := umem.New(umem.Config{Frames: 64})
		if err != nil {
			t.Fatal(err)
		}
		defer region.Close()
		s, err := xsk.Open(xsk.Config{Umem: region, IfIndex: 1, Iface: "lo", FillSize: 64, RxSize: 64, TxSize: 64})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Bind(xsk.Copy, false); err != nil {
			t.Fatal("the test would prove nothing: ", err)
		}
	})
	n.InA(func() { // a link that is there to be stolen
		if other, err = bpf.Load(bpf.Options{}); err != nil {
			t.Fatal(err)
		}
		if on, err = other.Attach(n.A.Index, bpf.Auto); err != nil {
			t.Fatal(err)
		}
	})
	defer other.Close()
	defer on.Close()
	it, id := new(link.Iterator), link.ID(0)
	for it.Next() {
		id = it.ID
	}
	it.Close()
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), malicious+"="+filepath.Join(dir, "s"), fmt.Sprintf("%s=%d", asUID, uid), fmt.Sprintf("%s=%d", otherLink, id))
	n.InB(func() {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
	})
	end()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A socket's path reaches into other network namespaces, where an index is another interface's.
func TestAReceiverInAnotherNamespaceIsToldSo(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	socket := filepath.Join(t.TempDir(), "s")
	l, err := privsep.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	var s *privsep.Server
	n.InB(func() {
		if s, err = privsep.NewServer(privsep.Policy{Interfaces: []string{"b0"}, UIDs: []int{os.Getuid()}}); err != nil {
			t.Fatal(err)
		}
	})
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	n.InA(func() {
		if _, err := privsep.Open(socket, privsep.Request{Interface: "b0", Queues: []int{0}}); err == nil || !strings.Contains(err.Error(), "another network namespace") {
			t.Errorf("it says %v", err)
		}
	})
	end()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
