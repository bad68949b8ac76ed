package xrx_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/internal/testnet"
	"xrx/internal/vethnet"
	"xrx/umem"
)

// standing runs a Standing on b0, which is closed with its ledger checked when the test ends.
type standing struct {
	*xrx.Standing
	log  *eventLog
	got  atomic.Uint64
	end  context.CancelFunc
	done chan error
}

func stand(t *testing.T, n *testnet.Net, cfg xrx.Config) *standing {
	t.Helper()
	s := &standing{log: &eventLog{}, done: make(chan error, 1)}
	cfg.OnEvent = s.log.on
	n.InB(func() {
		var err error
		if s.Standing, err = xrx.NewStanding("b0", &cfg); err != nil {
			t.Fatal(err)
		}
	})
	var ctx context.Context
	ctx, s.end = context.WithCancel(t.Context())
	go func() { s.done <- s.Run(ctx, xrx.Handler(func(xrx.Packet) { s.got.Add(1) })) }()
	t.Cleanup(func() {
		s.end()
		select {
		case err := <-s.done:
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		case <-time.After(patience):
			t.Fatal("Run goes on")
		}
		if l := s.Ledger(); l.Lost != 0 {
			t.Errorf("ledger: %v", l)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if l := s.Ledger(); l != (umem.Ledger{}) {
			t.Errorf("ledger after Close: %v", l)
		}
	})
	return s
}

func (s *standing) flows(t *testing.T) {
	t.Helper()
	before := s.got.Load()
	eventually(t, patience, "packets arrive", func() bool { return s.got.Load() > before+100 })
}

// received is what the report says, which must never become less.
func (s *standing) received() (n uint64) {
	for _, q := range s.Snapshot().Queues {
		n += q.Packets
	}
	return n
}

func TestAStandingReceiverOutlivesItsInterfaceAndItsCountsGoOn(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	s := stand(t, n, xrx.Config{Frames: 512})
	s.log.await(t, xrx.Opened, 1, time.Now())
	for round := 1; round <= 3; round++ {
		quit := load(t, n)
		s.flows(t)
		began := time.Now()
		if err := n.B.Delete(); err != nil {
			t.Fatal(err)
		}
		s.log.await(t, xrx.Waiting, round, began)
		quit()
		before := s.received()
		if before < uint64(round)*100 || before != s.got.Load() {
			t.Errorf("while it waits the report has %d packets, %d were delivered", before, s.got.Load())
		}
		if s.Registered() {
			t.Error("registered on an interface that is gone")
		}
		if l := s.Ledger(); l != (umem.Ledger{}) {
			t.Errorf("frames of an interface that is gone: %v", l)
		}
		began = time.Now()
		n.Recreate()
		s.log.await(t, xrx.Opened, round+1, began)
		eventually(t, patience, "the queues are registered", s.Registered)
		if now := s.received(); now < before {
			t.Errorf("%d packets received, were %d", now, before)
		}
	}
	s.flowsUnder(t, n)
	if c := s.Snapshot().Events; c["opened"] != 4 || c["waiting"] != 3 || c["link_deleted"] > 3 {
		t.Errorf("counted %v", c)
	}
	if x := s.Snapshot().XDP["redirected"]; x < s.got.Load() {
		t.Errorf("the XDP program redirected %d, %d were delivered", x, s.got.Load())
	}
}

func (s *standing) flowsUnder(t *testing.T, n *testnet.Net) {
	t.Helper()
	quit := load(t, n)
	s.flows(t)
	quit()
}

func TestAStandingReceiverWaitsForAnInterfaceThatIsNotThereYet(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	if err := n.B.Delete(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s := stand(t, n, xrx.Config{Frames: 512})
	if e := s.log.await(t, xrx.Waiting, 1, began); !strings.Contains(e.Text, `no interface "b0"`) {
		t.Error(e)
	}
	if s.Mode().Attach != "" {
		t.Errorf("mode %v before there is an interface", s.Mode())
	}
	if err := s.SetMatch("nonsense and more"); err == nil {
		t.Error("a wrong expression was taken")
	}
	if err := s.SetMatch("udp or tcp"); err != nil { // for the one that comes
		t.Error(err)
	}
	began = time.Now()
	n.Recreate()
	s.log.await(t, xrx.Opened, 1, began)
	if s.Match() == "" || s.Mode().Attach != "native" {
		t.Errorf("match %q, mode %v", s.Match(), s.Mode())
	}
	s.flowsUnder(t, n)
}

func TestAStandingReceiverOpensAgainForALargerMTUAndMoreQueues(t *testing.T) {
	testnet.Require(t, "root", "veth", "cmd:ethtool")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 2})
	n.Exec(n.A, "ethtool", "-L", "a0", "tx", "1")
	n.Exec(n.B, "ethtool", "-L", "b0", "rx", "1")
	s := stand(t, n, xrx.Config{Frames: 512})
	s.log.await(t, xrx.Opened, 1, time.Now())
	load(t, n)
	s.flows(t)
	before, began := s.received(), time.Now()
	n.Exec(n.B, "ethtool", "-L", "b0", "rx", "2")
	s.log.await(t, xrx.QueuesChanged, 1, began)
	s.log.await(t, xrx.Opened, 2, began)
	s.flows(t)
	if q := s.Snapshot().Queues; len(q) != 2 || s.received() < before {
		t.Errorf("%d queues, %d packets, were %d", len(q), s.received(), before)
	}
	before, began = s.received(), time.Now()
	for _, end := range []*vethnet.End{n.A, n.B} {
		if err := end.SetMTU(9000); err != nil {
			t.Fatal(err)
		}
	}
	s.log.await(t, xrx.MTUChanged, 1, began)
	s.log.await(t, xrx.Opened, 3, began)
	s.flows(t)
	if s.received() < before {
		t.Errorf("%d packets, were %d", s.received(), before)
	}
}

// What consumers hold when an interface goes stays mapped, and is in the ledger, until they release it.
func TestPacketsHeldAcrossADeletionStayValidAndAccountedFor(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	var s *xrx.Standing
	log := &eventLog{}
	n.InB(func() {
		var err error
		if s, err = xrx.NewStanding("b0", &xrx.Config{Frames: 512, OnEvent: log.on, CloseTimeout: 50 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
	})
	held := make(chan xrx.Packet, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, xrx.Handler(func(p xrx.Packet) {
			if len(held) == 0 {
				p.Retain()
				held <- p
			}
		}))
	}()
	log.await(t, xrx.Opened, 1, time.Now())
	quit := load(t, n)
	eventually(t, patience, "a packet is held", func() bool { return len(held) == 1 })
	if err := n.B.Delete(); err != nil {
		t.Fatal(err)
	}
	log.await(t, xrx.Waiting, 1, time.Now())
	quit()
	p := <-held
	before := p.Len()
	if l := s.Ledger(); l.Delivered != 1 || l.Lost != 0 {
		t.Errorf("ledger: %v", l)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	var still *xrx.HeldError
	if err := s.Close(); !errors.As(err, &still) || still.Packets != 1 {
		t.Errorf("Close: %v", err)
	}
	if p.Len() != before {
		t.Error("the packet changed")
	}
	p.Release()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestAStandingReceiverEndsWithWhatWaitingDoesNotMend(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	if _, err := xrx.NewStanding("b0", &xrx.Config{Frames: 1}); err == nil {
		t.Error("one frame was taken")
	}
	n.InB(func() {
		s, err := xrx.NewStanding("b0", &xrx.Config{Queues: []int{7}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Run(t.Context(), xrx.Handler(func(xrx.Packet) {})); err == nil || !strings.Contains(err.Error(), "not 7") {
			t.Errorf("Run returned %v", err)
		}
	})
}
