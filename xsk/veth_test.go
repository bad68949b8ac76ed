package xsk_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"xrx/internal/ring"
	"xrx/internal/sys"
	"xrx/internal/testnet"
	"xrx/umem"
	"xrx/xsk"
)

func memory(t testing.TB, cfg umem.Config) *umem.Umem {
	t.Helper()
	u, err := umem.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return u
}

// config is a small socket on queue 0 of b0.
func config(n *testnet.Net, u *umem.Umem) xsk.Config {
	return xsk.Config{Umem: u, IfIndex: n.B.Index, Iface: n.B.Iface, FillSize: 64, RxSize: 64}
}

func open(t testing.TB, n *testnet.Net, c xsk.Config) *xsk.Socket {
	t.Helper()
	var s *xsk.Socket
	var err error
	n.InB(func() { s, err = xsk.Open(c) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestBindTakesTheBestModeThatTheInterfaceHas(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 2})
	no := syscall.EOPNOTSUPP
	for _, c := range []struct {
		name     string
		want     xsk.Mode
		tryZC    bool
		change   func(*xsk.Config)
		attempts []xsk.Attempt
		err      error
	}{
		{"copy", xsk.Copy, true, nil, []xsk.Attempt{{xsk.Copy, nil}}, nil},
		{"auto tries zero-copy, which a veth has not", xsk.Auto, true, nil, []xsk.Attempt{{xsk.ZeroCopy, no}, {xsk.Copy, nil}}, nil},
		{"auto under a generic program does not try", xsk.Auto, false, nil, []xsk.Attempt{{xsk.Copy, nil}}, nil},
		{"zero-copy alone is refused", xsk.ZeroCopy, true, nil, []xsk.Attempt{{xsk.ZeroCopy, no}}, no},
		{"the other queue", xsk.Copy, true, func(c *xsk.Config) { c.Queue = 1 }, []xsk.Attempt{{xsk.Copy, nil}}, nil},
		{"multi-buffer", xsk.Copy, true, func(c *xsk.Config) { c.SG = true }, []xsk.Attempt{{xsk.Copy, nil}}, nil},
		{"without need_wakeup", xsk.Copy, true, func(c *xsk.Config) { c.NoNeedWakeup = true }, []xsk.Attempt{{xsk.Copy, nil}}, nil},
		{"with a tx ring", xsk.Copy, true, func(c *xsk.Config) { c.TxSize = 64 }, []xsk.Attempt{{xsk.Copy, nil}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(n, memory(t, umem.Config{Frames: 64}))
			if c.change != nil {
				c.change(&cfg)
			}
			s := open(t, n, cfg)
			tried, err := s.Bind(c.want, c.tryZC)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Fatalf("%v, want %v", err, c.err)
			}
			if len(tried) != len(c.attempts) {
				t.Fatalf("tried %v, want %v", tried, c.attempts)
			}
			for i, a := range tried {
				if w := c.attempts[i]; a.Mode != w.Mode || !errors.Is(a.Err, w.Err) {
					t.Errorf("attempt %d: %v, want %v", i, a, w)
				}
				if a.Err != nil && !strings.Contains(a.Err.Error(), "zero-copy") {
					t.Errorf("attempt %d does not say what is missing: %v", i, a.Err)
				}
			}
			if err == nil && s.Mode() != xsk.Copy {
				t.Errorf("mode %v on a veth", s.Mode())
			}
			if got, err := s.Stats(); err != nil || got != (xsk.Stats{}) {
				t.Errorf("statistics of a socket that received nothing: %+v, %v", got, err)
			}
			if (s.Tx != nil) != (cfg.TxSize > 0) || s.Queue() != cfg.Queue || s.FD() < 0 {
				t.Errorf("tx ring %v, queue %d, descriptor %d", s.Tx != nil, s.Queue(), s.FD())
			}
			if err == nil {
				if err := errors.Join(s.WakeRx(), s.BusyPoll(20, 64)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestAQueueThatTheInterfaceHasNotIsRefusedInWords(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 2})
	cfg := config(n, memory(t, umem.Config{Frames: 64}))
	cfg.Queue = 2
	s := open(t, n, cfg)
	if _, err := s.Bind(xsk.Copy, false); !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "queue 2 is not below the interface's real number of rx queues") {
		t.Error(err)
	}
}

func TestBindOfAnInterfaceThatWasDeletedSaysSo(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	s := open(t, n, config(n, memory(t, umem.Config{Frames: 64})))
	if err := n.B.Delete(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Bind(xsk.Copy, false); !errors.Is(err, syscall.ENODEV) || !strings.Contains(err.Error(), "interface is gone") {
		t.Error(err)
	}
}

func TestASecondSocketOnAQueueGivesUpAfterBoundedPatience(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	first := open(t, n, config(n, memory(t, umem.Config{Frames: 64})))
	if _, err := first.Bind(xsk.Copy, false); err != nil {
		t.Fatal(err)
	}
	second := open(t, n, config(n, memory(t, umem.Config{Frames: 64})))
	began := time.Now()
	tried, err := second.Bind(xsk.Auto, true)
	took := time.Since(began)
	if !errors.Is(err, syscall.EBUSY) || !strings.Contains(err.Error(), "another AF_XDP socket has this queue") {
		t.Error(err)
	}
	if len(tried) != 1 {
		t.Errorf("tried %v: no other mode frees the queue", tried)
	}
	if took < time.Second || took > 4*time.Second {
		t.Errorf("gave up after %v, want about 2s", took)
	}
}

func TestBindWaitsForAQueueThatIsBeingTornDown(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	first := open(t, n, config(n, memory(t, umem.Config{Frames: 64})))
	if _, err := first.Bind(xsk.Copy, false); err != nil {
		t.Fatal(err)
	}
	second := open(t, n, config(n, memory(t, umem.Config{Frames: 64})))
	bound := make(chan error, 1)
	go func() {
		_, err := second.Bind(xsk.Copy, false)
		bound <- err
	}()
	select {
	case err := <-bound:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(100 * time.Millisecond): // long enough for the first refusal: the queue is taken until we close
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-bound; err != nil {
		t.Error(err)
	}
}

func TestFiftyRoundsOfOpenBindAndCloseFindTheQueueFree(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	u := memory(t, umem.Config{Frames: 64})
	for round := range 50 {
		var s *xsk.Socket
		var err error
		n.InB(func() { s, err = xsk.Open(config(n, u)) })
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if _, err := s.Bind(xsk.Auto, true); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for range 2 { // Close is idempotent
			if err := s.Close(); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
	}
}

func TestOpenLeavesNothingBehindWhenTheKernelRefuses(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	u := memory(t, umem.Config{Frames: 8, ChunkSize: 8192, Unaligned: true}) // larger than a page
	var err error
	n.InB(func() { _, err = xsk.Open(config(n, u)) })
	if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "takes no chunks of 8192 bytes with headroom 192") {
		t.Error(err)
	}
}

func TestEveryChunkLayoutOfUmemIsTakenByTheKernel(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	for _, c := range []umem.Config{
		{Frames: 64}, {Frames: 1}, {Frames: 63}, {Frames: 64, ChunkSize: 4096}, {Frames: 64, Headroom: 512}, {Frames: 64, Headroom: 1344},
		{Frames: 64, ChunkSize: 3000, Unaligned: true}, {Frames: 64, ChunkSize: 2049, Unaligned: true}, {Frames: 64, ChunkSize: 4096, Unaligned: true},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			s := open(t, n, config(n, memory(t, c)))
			if _, err := s.Bind(xsk.Copy, false); err != nil {
				t.Error(err)
			}
		})
	}
}

// What umem refuses, the kernel refuses too: else umem would be refusing too much.
func TestTheKernelRefusesTheChunksThatUmemRefuses(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	region, _, err := sys.MapRegion(1<<20, false)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Unmap(region)
	for _, c := range []struct {
		chunk, headroom int
		flags           uint32
		want            error
	}{
		{2048, 0, 0, nil}, {2048, 128, 0, nil}, {4096, 128, 0, nil}, {3000, 128, sys.XDPUnaligned, nil},
		{1024, 0, 0, syscall.EINVAL}, {8192, 0, 0, syscall.EINVAL}, {3000, 0, 0, syscall.EINVAL}, {0, 0, 0, syscall.EINVAL},
		{2048, 2048 - 256, 0, syscall.EINVAL}, {2048, 2048 - 704, 0, nil}, // in between it depends on the kernel
		{2048, 1 << 20, 0, syscall.EINVAL},
		{1024, 0, sys.XDPUnaligned, syscall.EINVAL}, {8192, 0, sys.XDPUnaligned, syscall.EINVAL}, {2048, 0, 1 << 31, syscall.EINVAL},
	} {
		fd, err := sys.XSKSocket()
		if err != nil {
			t.Fatal(err)
		}
		if err := sys.XSKRegister(fd, region, c.chunk, c.headroom, c.flags); !errors.Is(err, c.want) {
			t.Errorf("chunk %d, headroom %d, flags %#x: %v, want %v", c.chunk, c.headroom, c.flags, err, c.want)
		}
		if err := sys.Close(fd); err != nil {
			t.Error(err)
		}
	}
}

// The way back to life after down and up needs no new bind; after deletion the socket says so when it is asked.
func TestABoundSocketTellsThatItsInterfaceIsDownOrGone(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{MTU: 1200}) // no IPv6, whose addresses are lost when the interface goes down
	s := open(t, n, config(n, memory(t, umem.Config{Frames: 64})))
	if _, err := s.Bind(xsk.Copy, false); err != nil {
		t.Fatal(err)
	}
	if err := s.WakeRx(); err != nil {
		t.Errorf("up: %v", err)
	}
	if err := n.B.Down(); err != nil {
		t.Fatal(err)
	}
	if err := s.WakeRx(); !errors.Is(err, syscall.ENETDOWN) {
		t.Errorf("down: %v", err)
	}
	if err := n.B.Up(); err != nil {
		t.Fatal(err)
	}
	if err := s.WakeRx(); err != nil {
		t.Errorf("up again: %v", err)
	}
	if err := n.B.Delete(); err != nil {
		t.Fatal(err)
	}
	if err := s.WakeRx(); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("deleted: %v", err)
	}
	if err := s.Err(); err == nil {
		t.Error("no pending error on the socket of a deleted interface")
	}
	if err := s.Err(); err != nil {
		t.Errorf("the pending error was not cleared: %v", err)
	}
}

func TestTwoQueuesShareOneRegistrationWithRingsOfTheirOwn(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 2})
	u := memory(t, umem.Config{Frames: 64})
	first := open(t, n, config(n, u))
	if _, err := first.Bind(xsk.Copy, false); err != nil {
		t.Fatal(err)
	}
	cfg := config(n, u)
	cfg.Queue, cfg.Share = 1, first
	second := open(t, n, cfg)
	tried, err := second.Bind(xsk.Auto, true)
	if err != nil || len(tried) != 1 {
		t.Fatalf("%v, %v", tried, err)
	}
	if second.Mode() != xsk.Copy {
		t.Errorf("mode %v, the first has %v", second.Mode(), first.Mode())
	}
	if err := first.Close(); err != nil { // the registration lives on with the second
		t.Fatal(err)
	}
	if err := second.WakeRx(); err != nil {
		t.Error(err)
	}
}

func TestASocketOverOtherRingsNeverTouchesAForeignDescriptor(t *testing.T) {
	k, err := sys.NewEvent() // some descriptor that is open
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	s := xsk.Over(ring.New[uint64](4), ring.New[xsk.Desc](4))
	if s.FD() != -1 || s.Fill.Size() != 4 || s.Rx.Size() != 4 {
		t.Errorf("descriptor %d, rings of %d and %d", s.FD(), s.Fill.Size(), s.Rx.Size())
	}
	if _, err := s.Stats(); !errors.Is(err, syscall.EBADF) {
		t.Errorf("statistics: %v", err)
	}
	if err := s.WakeRx(); !errors.Is(err, syscall.EBADF) {
		t.Errorf("wakeup: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
