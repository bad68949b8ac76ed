package zcvm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"xrx"
	"xrx/internal/gen"
	"xrx/internal/netdev"
)

// twoQueues skips the test where the receiving interface has one queue.
func twoQueues(t *testing.T, w wire) {
	t.Helper()
	i, err := netdev.Get(w.iface.Name)
	if err != nil {
		t.Fatal(err)
	}
	if i.Queues < 2 {
		t.Skip("needs two receive queues (scripts/zc-vm.sh --queues 2)")
	}
}

// spread is a stream that cards spread over their queues: many leave the ports of UDP out of their hash.
func spread(w wire) gen.Stream {
	s := w.stream()
	s.TCP, s.Flows, s.Sizes = true, 64, []int{100}
	return s
}

func TestTwoQueuesReceiveIntoFramesOfTheirOwnOrOfOneSharedUmem(t *testing.T) {
	w := zeroCopyWire(t)
	twoQueues(t, w)
	const total = 10_000
	for _, c := range []struct {
		name string
		cfg  xrx.Config
	}{
		{"a UMEM each", xrx.Config{}},
		{"one UMEM", xrx.Config{SharedUmem: true}},
		{"one UMEM, one thread", xrx.Config{SharedUmem: true, Threads: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := spread(w)
			s.Sizes = gen.Range(100, 1514)
			r := w.open(t, c.cfg)
			if notes := r.Mode().Notes; slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, "another mode") }) {
				t.Errorf("notes %q", notes)
			}
			x := newExchange(t, w, s)
			running := receiving(t, r, x)
			x.send(total)
			running.end()
			x.done()
			each, sum := "", uint64(0)
			for _, q := range r.Snapshot().Queues {
				each += fmt.Sprintf(" %d", q.Packets)
				sum += q.Packets
				if q.Packets == 0 || len(q.Drops) != 0 || q.Kernel.Lost() != 0 || q.Ledger.Lost != 0 {
					t.Errorf("queue %d: %d packets, drops %v, kernel %+v, %v", q.Queue, q.Packets, q.Drops, q.Kernel, q.Ledger)
				}
			}
			if sum != total {
				t.Errorf("%d of %d packets", sum, total)
			}
			t.Logf("packets per queue:%s", each)
		})
	}
}

// One of two queues: what the interface steers to the other is the kernel's, and is said to be.
func TestOneOfTwoQueuesIsReceivedAndTheOtherLeftToTheKernel(t *testing.T) {
	w := zeroCopyWire(t)
	twoQueues(t, w)
	const total = 2000
	s := spread(w)
	r := w.open(t, xrx.Config{Queues: []int{1}})
	if notes := r.Mode().Notes; len(notes) != 1 {
		t.Errorf("notes %q: want one that speaks of the queue that is not bound", notes)
	}
	x := newExchange(t, w, s)
	running := receiving(t, r, x)
	count := func() (redirected, passed uint64) {
		xdp := r.Snapshot().XDP
		return xdp["redirected"], xdp["no_socket"]
	}
	for sent := 0; sent < total; sent += 50 {
		var batch [][]byte
		for range 50 {
			batch = append(batch, x.writer.Append(nil))
		}
		if _, err := x.socket.Send(batch); err != nil {
			t.Fatal(err)
		}
		eventually(t, "they have arrived", func() bool { a, b := count(); return a+b == uint64(sent+50) })
	}
	running.end()
	q := r.Snapshot().Queues[0]
	redirected, passed := count()
	if q.Packets != redirected || redirected == 0 || passed == 0 || q.Ledger.Lost != 0 {
		t.Errorf("%d redirected, %d passed, %d received, %v", redirected, passed, q.Packets, q.Ledger)
	}
}
