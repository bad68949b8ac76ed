package xrx

import (
	"testing"
	"time"

	"xrx/gro"
	"xrx/internal/frames"
	"xrx/umem"
)

// newGroup is one poller with several queues over fake kernels, without a thread: a test does its rounds.
func newGroup(t testing.TB, queues int, merge *gro.Config) (*poller, []*bare) {
	p := &poller{cfg: &Config{Budget: bareBudget, PollTimeout: 100 * time.Millisecond}, cpu: -1, event: -1}
	list := make([]*bare, queues)
	for i := range list {
		list[i] = newBare(t, umem.Config{Frames: 512}, 256, merge)
		list[i].id = i
		p.adopt(list[i].Queue)
	}
	return p, list
}

func TestALoadedQueueDoesNotKeepAQuietOneOfTheSameThreadWaiting(t *testing.T) {
	const queues, quiet, rounds = 5, 3, 200
	p, list := newGroup(t, queues, nil)
	polls := [queues]int{} // handler calls of loaded queues since the quiet queue's packet came
	arrived, worst, got := false, 0, 0
	for i, b := range list {
		b.handle = func(pkt Packet) {
			switch {
			case i == quiet:
				got++
				arrived = false
				n := 0
				for j := range polls {
					n += polls[j]
					polls[j] = 0
				}
				worst = max(worst, n)
			case arrived:
				polls[i]++
			}
		}
	}
	for round := range rounds {
		for i, b := range list { // the others always have more than a budget waiting
			for i != quiet && b.sock.Rx.Level() < 2*bareBudget {
				b.arrive(t, plain(round, 60))
				b.k.Flush()
			}
		}
		list[quiet].arrive(t, plain(round, 60))
		list[quiet].k.Flush()
		arrived = true
		n, more := p.round()
		if n != (queues-1)*bareBudget+1 || !more {
			t.Fatalf("round %d took %d packets, more %v", round, n, more)
		}
		if arrived {
			t.Fatalf("round %d ended without the quiet queue's packet", round)
		}
	}
	if most := (queues - 1) * bareBudget; got != rounds || worst > most {
		t.Errorf("the quiet queue had %d of %d packets, the worst after %d of other queues, want at most one budget of each: %d", got, rounds, worst, most)
	}
	for _, b := range list {
		for b.Poll(bareBudget) > 0 {
		}
		b.balance(t, 0)
	}
}

func TestAThreadOfSeveralQueuesSleepsOnlyUntilTheFirstDeadlineOfTheirGRO(t *testing.T) {
	p, list := newGroup(t, 3, &gro.Config{Flush: 20 * time.Millisecond})
	if d := p.patience(); d != p.cfg.PollTimeout {
		t.Fatalf("patience %v with nothing held, want %v", d, p.cfg.PollTimeout)
	}
	f := frames.Frame{Src: four(1), Dst: four(2), Proto: frames.ProtoTCP, SrcPort: 1, DstPort: 80, Fragment: 0x4000,
		Flags: frames.ACK, Ack: 1, Window: 512, Payload: make([]byte, 100)}
	list[2].arrive(t, f.Append(nil))
	list[2].k.Flush()
	p.round()
	if d := p.patience(); d <= 0 || d > 20*time.Millisecond {
		t.Errorf("patience %v while the third queue holds a segment for 20ms", d)
	}
	for _, b := range list {
		b.flush()
		b.balance(t, 0)
	}
	if len(list[2].got) != 1 {
		t.Errorf("%d packets delivered", len(list[2].got))
	}
}
