package xrx_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"xrx"
	"xrx/bpf"
	"xrx/internal/testnet"
)

func TestFourQueuesOfOneUmemReceiveAndTheirFramesAreReleasedByAnotherGoroutine(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const total, frames = 20_000, 1024
	for _, threads := range []int{0, 2} {
		n := testnet.New(t, testnet.Options{Queues: 4})
		r := open(t, n, &xrx.Config{Attach: bpf.Native, SharedUmem: true, Frames: frames, Threads: threads})
		if notes := r.Mode().Notes; !slices.ContainsFunc(notes, func(s string) bool { return strings.Contains(s, "4 queues share one UMEM of 4096 frames") }) {
			t.Errorf("notes %q", notes)
		}
		s := newShares(4)
		home := make(chan []xrx.Packet, 256)
		released := make(chan struct{})
		go func() {
			defer close(released)
			for batch := range home {
				for _, p := range batch {
					s.arrived.Add(1) // after the handler's half: then no packet is both counted and out
					p.Release()
				}
			}
		}()
		x := run(t, r, xrx.BatchHandler(func(batch []xrx.Packet) {
			for _, p := range batch {
				s.see(p)
			}
			home <- slices.Clone(batch)
		}))
		w := flows(t, n, 64)
		windowed(t, sender(t, n), total, 256, func(b []byte, _ uint64) []byte { return w.Append(b) }, s.arrived.Load)
		eventually(t, 5*time.Second, "all packets have been released", func() bool { return s.arrived.Load() >= total })
		if err := x.end(); err != nil {
			t.Fatal(err)
		}
		close(home)
		<-released
		sum := uint64(0)
		for i := range s.of {
			q := &s.of[i]
			sum += q.tally.Frames
			if q.tally.Frames == 0 || q.tally.Duplicates+q.tally.Reordered+q.tally.Foreign+q.tally.Damaged != 0 || q.behind != 0 {
				t.Errorf("queue %d: %d packets, %d behind a later one, %v", i, q.tally.Frames, q.behind, q.tally.Err(total))
			}
		}
		if sum != total {
			t.Errorf("%d packets, want %d", sum, total)
		}
		for _, q := range r.Snapshot().Queues {
			if l := q.Ledger; l.Total != frames || l.Lost != 0 || len(q.Drops) != 0 || q.Kernel.Lost() != 0 {
				t.Errorf("queue %d: drops %v, kernel %+v, %v", q.Queue, q.Drops, q.Kernel, l)
			}
		}
		if l := r.Ledger(); l.Total != 4*frames || l.Free+l.Filling+l.Delivered != l.Total {
			t.Errorf("all queues: %v", l)
		}
	}
}

func TestASharedUmemStaysMappedWhileAPacketOfAnyQueueIsHeld(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 2})
	var r *xrx.Receiver
	n.InB(func() {
		var err error
		if r, err = xrx.Open(n.B.Iface, &xrx.Config{SharedUmem: true, Frames: 256, CloseTimeout: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
	})
	kept := make(chan xrx.Packet, 1)
	x := run(t, r, xrx.Handler(func(p xrx.Packet) {
		select {
		case kept <- p:
			p.Retain()
		default:
		}
	}))
	w := flows(t, n, 8)
	if _, err := sender(t, n).Send([][]byte{w.Append(nil)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "a packet is held", func() bool { return len(kept) == 1 })
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	p := <-kept
	var held *xrx.HeldError
	if err := r.Close(); !errors.As(err, &held) || held.Packets != 1 || !slices.Equal(held.Queues, []int{p.Queue()}) {
		t.Errorf("Close with a packet of queue %d held: %v", p.Queue(), err)
	}
	var tally = newShares(2)
	tally.see(p) // still there, every byte
	if q := tally.of[p.Queue()].tally; q.Frames != 1 || q.Damaged != 0 {
		t.Errorf("held packet: %+v", q)
	}
	p.Release()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if l := r.Ledger(); l.Free != l.Total || l.Total != 512 {
		t.Errorf("after Close: %v", l)
	}
}
