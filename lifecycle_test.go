package xrx_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"xrx"
	"xrx/bpf"
	"xrx/internal/testnet"
)

func asError[T error](err error, target *T) bool { return errors.As(err, target) }

func TestRunEndsWithinASecondWhenTheInterfaceIsDeleted(t *testing.T) {
	testnet.Require(t, "root", "veth")
	for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			n := testnet.New(t, testnet.Options{})
			r := open(t, n, &xrx.Config{Attach: mode})
			var got atomic.Uint64
			x := run(t, r, xrx.Handler(func(xrx.Packet) { got.Add(1) }))
			newFrameMaker(n, 1).send(t, sender(t, n), 0, 10, got.Load)
			eventually(t, 5*time.Second, "packets arrive", func() bool { return got.Load() == 10 })
			began := time.Now()
			if err := n.B.Delete(); err != nil {
				t.Fatal(err)
			}
			err := x.wait(time.Second)
			if !errors.Is(err, xrx.ErrDeleted) || !strings.Contains(err.Error(), n.B.Iface) {
				t.Errorf("Run returned %v, want ErrDeleted with the interface's name", err)
			}
			t.Logf("after %v: %v", time.Since(began).Round(time.Millisecond), err)
		})
	}
}

func TestReceivingResumesByItselfWhenTheLinkComesBackUp(t *testing.T) {
	testnet.Require(t, "root", "veth")
	for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			n := testnet.New(t, testnet.Options{})
			r := open(t, n, &xrx.Config{Attach: mode})
			var got atomic.Uint64
			x := run(t, r, xrx.Handler(func(xrx.Packet) { got.Add(1) }))
			s, m := sender(t, n), newFrameMaker(n, 1)
			for round := uint64(1); round <= 3; round++ {
				m.send(t, s, 0, 100, func() uint64 { return got.Load() - (round-1)*100 })
				eventually(t, 5*time.Second, "packets arrive", func() bool { return got.Load() == round*100 })
				if err := n.B.Down(); err != nil {
					t.Fatal(err)
				}
				before := r.Snapshot().Queues[0].Sleeps
				eventually(t, 5*time.Second, "the queue notices", func() bool { return r.Snapshot().Queues[0].Sleeps > before+2 })
				if err := n.B.Up(); err != nil {
					t.Fatal(err)
				}
			}
			if err := x.end(); err != nil {
				t.Errorf("Run returned %v", err)
			}
			if p := r.Snapshot().Queues[0]; p.Sleeps > 5000 {
				t.Errorf("%d sleeps: the queue spun while the link was down", p.Sleeps)
			}
		})
	}
}

// The traffic belongs to the receiver from Run to its return, and to the kernel before and after.
func TestTrafficGoesToTheKernelBeforeAndAfterRun(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	r := open(t, n, nil)
	s, m := sender(t, n), newFrameMaker(n, 1)
	xdp := func(reason string) uint64 { return r.Snapshot().XDP[reason] }
	m.send(t, s, 0, 50, func() uint64 { return 50 })
	eventually(t, 5*time.Second, "packets pass before Run", func() bool { return xdp("no_socket") == 50 })
	for round := uint64(1); round <= 2; round++ { // Run may be called again
		var got atomic.Uint64
		x := run(t, r, xrx.Handler(func(xrx.Packet) { got.Add(1) }))
		m.send(t, s, 0, 50, func() uint64 { return 50 })
		eventually(t, 5*time.Second, "packets arrive while running", func() bool { return got.Load() == 50 })
		if err := x.end(); err != nil {
			t.Fatal(err)
		}
		m.send(t, s, 0, 50, func() uint64 { return 50 })
		eventually(t, 5*time.Second, "packets pass after Run", func() bool { return xdp("no_socket") == 50+round*50 })
		if xdp("redirected") != round*50 {
			t.Errorf("%d redirected, want %d", xdp("redirected"), round*50)
		}
	}
}

func TestNothingIsLeftAfterKillAndTheNextReceiverStartsAtOnce(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), "XRX_TEST_RECEIVE="+n.B.Iface)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		n.InB(func() {
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
		})
		lines := bufio.NewScanner(out)
		s, m := sender(t, n), newFrameMaker(n, 1)
		stopSending, stopped := make(chan struct{}), make(chan struct{})
		go func() { // until the child has seen one: it is receiving
			defer close(stopped)
			for {
				select {
				case <-stopSending:
					return
				default:
					b, _ := m.frame(nil, 1)
					s.Send([][]byte{b})
					time.Sleep(time.Millisecond)
				}
			}
		}()
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), "received") {
			t.Fatalf("round %d: the child says %q", round, lines.Text())
		}
		cmd.Process.Signal(syscall.SIGKILL)
		cmd.Wait()
		close(stopSending)
		<-stopped
		l, err := n.B.Link()
		if err != nil {
			t.Fatal(err)
		}
		if x := l.Attrs().Xdp; x != nil && x.Attached {
			t.Fatalf("round %d: an XDP program is left: %+v", round, x)
		}
		r := open(t, n, nil)
		var got atomic.Uint64
		x := run(t, r, xrx.Handler(func(xrx.Packet) { got.Add(1) }))
		newFrameMaker(n, 1).send(t, sender(t, n), 0, 100, got.Load)
		eventually(t, 5*time.Second, "packets arrive", func() bool { return got.Load() >= 100 })
		if err := x.end(); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFiftyRoundsUnderLoadOpenAndCloseWithoutBusyAndLeaveNothing(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	s, m := sender(t, n), newFrameMaker(n, 8)
	ctx, cancel := context.WithCancel(context.Background())
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		list := make([][]byte, 32)
		for i := range list {
			list[i], _ = m.frame(nil, uint64(i))
		}
		for ctx.Err() == nil {
			s.Send(list)
		}
	}()
	defer func() { cancel(); <-loaded }()
	testnet.NoLeaks(t)
	for round := range 50 {
		var r *xrx.Receiver
		n.InB(func() {
			var err error
			if r, err = xrx.Open(n.B.Iface, &xrx.Config{Frames: 512}); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		})
		var got atomic.Uint64
		x := run(t, r, xrx.Handler(func(xrx.Packet) { got.Add(1) }))
		eventually(t, 5*time.Second, "packets arrive", func() bool { return got.Load() > 100 })
		if err := x.end(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if l := r.Ledger(); l.Lost != 0 || l.Delivered+l.Held+l.Received+l.Sending != 0 {
			t.Fatalf("round %d: %v", round, l)
		}
		if err := r.Close(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

func TestOpenOnABusyInterfaceNamesTheOtherProgramAndLeavesIt(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	first := open(t, n, nil)
	var busy *bpf.BusyError
	n.InB(func() {
		r, err := xrx.Open(n.B.Iface, nil)
		if !asError(err, &busy) {
			t.Fatalf("second Open: %v, %v: want a BusyError", r, err)
		}
	})
	t.Log(busy)
	if !strings.Contains(busy.Error(), "xrx_rx") {
		t.Errorf("%q does not name the program", busy.Error())
	}
	var got atomic.Uint64
	x := run(t, first, xrx.Handler(func(xrx.Packet) { got.Add(1) }))
	newFrameMaker(n, 1).send(t, sender(t, n), 0, 10, got.Load)
	eventually(t, 5*time.Second, "the first receiver still receives", func() bool { return got.Load() == 10 })
	if err := x.end(); err != nil {
		t.Error(err)
	}
}

// For the race detector: who asks for counters while Run starts reads nothing that its goroutines are changing.
func TestCountersAreAskedForWhileRunStartsAndEnds(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	r := open(t, n, nil)
	var m xrx.Mux
	m.Default(func(xrx.Packet) {})
	quit := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			select {
			case <-quit:
				return
			default:
				if l := r.Snapshot().Queues[0].Ledger; l.Lost != 0 {
					t.Errorf("ledger: %v", l)
				}
			}
		}
	})
	for range 20 {
		if err := run(t, r, &m).end(); err != nil {
			t.Error(err)
		}
	}
	close(quit)
	all.Wait()
}
