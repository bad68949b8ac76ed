package umem

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

type handle struct {
	h   *Header
	gen uint32
}

func TestThePacketGoesHomeWithItsLastReferenceOnly(t *testing.T) {
	p := onePool(t, 4)
	h, gen := delivered(t, p)
	p.Retain(h, gen)
	p.Retain(h, gen)
	for i, release := range []func(*Header, uint32){p.Release, p.ReleaseLocal} {
		release(h, gen)
		h.Check(gen) // still the holder's
		if p.Returned() || p.u.State(h) != Delivered {
			t.Fatalf("after %d of 3 releases the frame is %v", i+1, p.u.State(h))
		}
	}
	p.ReleaseLocal(h, gen)
	if p.u.State(h) != Free || h.Gen() == gen {
		t.Fatalf("after the last release the frame is %v, life %d", p.u.State(h), h.Gen())
	}
	mustBalance(t, p)
}

func TestAChainGoesHomeWhole(t *testing.T) {
	for _, c := range []struct {
		name string
		home func(*Pool, *Header)
	}{
		{"dropped", func(p *Pool, h *Header) { p.Drop(h) }},
		{"released at home", func(p *Pool, h *Header) { p.Deliver(h); p.ReleaseLocal(h, h.Gen()) }},
		{"released elsewhere", func(p *Pool, h *Header) { p.Deliver(h); p.Release(h, h.Gen()); p.Reclaim() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := onePool(t, 8)
			hs := take(t, p, 6)
			p.Append(hs[0], hs[1])
			p.Append(hs[2], hs[3]) // a chain that is appended with its own chain
			p.Hold(hs[0])
			p.Append(hs[0], hs[2])
			p.Append(hs[0], hs[4])
			var order []int
			for h := hs[0]; h != nil; h = p.u.Deref(h.Seg) {
				order = append(order, h.Index())
			}
			for i, f := range order {
				if f != i || len(order) != 5 {
					t.Fatalf("the chain is %v", order)
				}
			}
			c.home(p, hs[0])
			if l := p.Audit(); l.Free != 7 || l.Received != 1 || l.Lost != 0 {
				t.Errorf("%v", l)
			}
			mustBalance(t, p)
		})
	}
}

func TestAFrameReceivedAgainRemembersNothing(t *testing.T) {
	p := onePool(t, 2)
	hs := take(t, p, 2)
	hs[0].Kind, hs[0].Csum, hs[0].Skip, hs[0].Segs, hs[0].GSOSize, hs[0].Total = Head, CsumBad, 54, 9, 1448, 99999
	p.Append(hs[0], hs[1])
	p.Drop(hs[0])
	for _, h := range take(t, p, 2) {
		if h.Kind != Plain || h.Csum != CsumUnknown || h.Skip != 0 || h.Segs != 1 || h.GSOSize != 0 || h.Total != 60 || h.Seg != 0 || h.Tail != 0 {
			t.Errorf("%+v", h)
		}
		if len(h.Payload()) != 60 {
			t.Errorf("payload of %d bytes", len(h.Payload()))
		}
	}
}

// Many holders of each packet, all on goroutines of their own, read it, retain it, and release it; the memory is Go's,
// so that the race detector sees a frame that goes home under a reader's eyes.
func TestManyGoroutinesShareOnePacketAndOneOfThemSendsItHome(t *testing.T) {
	const holders, rounds = 8, 400
	p := onePool(t, 4)
	var wg sync.WaitGroup
	work := make([]chan handle, holders)
	for i := range work {
		work[i] = make(chan handle, 4)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for w := range work[i] {
				if w.h.Bytes()[0] != byte(w.gen) {
					panic("the packet changed while it was held")
				}
				p.Retain(w.h, w.gen)
				p.Release(w.h, w.gen)
				w.h.Check(w.gen)
				p.Release(w.h, w.gen)
			}
		}()
	}
	for range rounds {
		for p.In(Free) == 0 {
			if p.Reclaim() == 0 {
				runtime.Gosched()
			}
		}
		h := take(t, p, 1)[0]
		h.Bytes()[0] = byte(h.Gen())
		p.Deliver(h)
		gen := h.Gen()
		for range holders - 1 {
			p.Retain(h, gen)
		}
		for _, c := range work {
			c <- handle{h, gen}
		}
	}
	for _, c := range work {
		close(c)
	}
	wg.Wait()
	p.Reclaim()
	if l := p.Audit(); l.Free != l.Total || l.Lost != 0 {
		t.Fatal(l)
	}
	mustBalance(t, p)
}

// The return queue under contention: chains and single packets, released by many goroutines while the owner reclaims,
// fills and receives. Every frame comes home exactly once: a second arrival would be a second Free in the totals, and
// the walk would not agree.
func TestEveryFrameComesHomeExactlyOnceUnderContention(t *testing.T) {
	const releasers, packets = 6, 30_000
	_, ps := region(t, Config{Frames: 256}, 2)
	p := ps[0]
	work := make(chan handle, 64)
	var wg sync.WaitGroup
	for range releasers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for w := range work {
				p.Release(w.h, w.gen)
			}
		}()
	}
	rng := rand.New(rand.NewPCG(1, 2))
	frames := 0
	for sent := 0; sent < packets; sent++ {
		n := 1 + rng.IntN(4)
		for p.In(Free) < n {
			if p.Reclaim() == 0 {
				runtime.Gosched()
			}
		}
		hs := take(t, p, n)
		for _, s := range hs[1:] {
			p.Append(hs[0], s)
		}
		frames += n
		p.Deliver(hs[0])
		work <- handle{hs[0], hs[0].Gen()}
		if sent%1000 == 0 {
			mustBalance(t, p)
		}
	}
	close(work)
	wg.Wait()
	p.Reclaim()
	if l := p.Audit(); l.Free != l.Total || l.Lost != 0 {
		t.Fatalf("after %d frames: %v", frames, l)
	}
	mustBalance(t, p)
	mustBalance(t, ps[1])
}

func TestNothingIsAllocatedOnTheWayOfAFrame(t *testing.T) {
	p := onePool(t, 64)
	var slots [16]uint64
	cycle := func(release func(*Header, uint32)) func() {
		return func() {
			p.Fill(slots[:])
			for _, s := range slots {
				h, _ := p.Receive(descriptor(p.u, s), 60)
				_ = h.Meta(p.u.PacketOffset())
				p.Hold(h)
				p.Deliver(h)
				p.Retain(h, h.Gen())
				p.ReleaseLocal(h, h.Gen())
				release(h, h.Gen())
			}
			p.Reclaim()
		}
	}
	for name, f := range map[string]func(){
		"released at home":   cycle(p.ReleaseLocal),
		"released elsewhere": cycle(p.Release),
		"refused":            func() { p.Receive(1<<40, 60) },
		"dropped": func() {
			p.Fill(slots[:1])
			h, _ := p.Receive(descriptor(p.u, slots[0]), 60)
			p.Drop(h)
		},
		"counted and walked":   func() { p.Counts(); p.Audit() },
		"found by its address": func() { p.u.Of(p.u.mem[5000:]) },
		"taken back":           func() { p.Fill(slots[:]); p.TakeBack() },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	mustBalance(t, p)
}
