package umem

import "testing"

// Each row loses a frame in another way; the walk must find it, whatever the running totals believe.
func TestAuditFindsALostFrameHoweverItWasLost(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func(*Pool)
		lost int
	}{
		{"a free frame's magic is smashed", func(p *Pool) { p.u.Frame(7).magic++ }, 1},
		{"a posted frame's magic is smashed", func(p *Pool) { p.u.Frame(0).magic++ }, 1},
		{"a free frame's whole header is zeroed", func(p *Pool) { *p.u.Frame(7) = Header{} }, 1},
		{"every byte of a free frame's header is 0xff", func(p *Pool) { fillHeader(p.u.Frame(7), 0xff) }, 1},
		{"a delivered frame's header is zeroed", func(p *Pool) { *p.u.Frame(1) = Header{} }, 1},
		{"a header is replaced by its neighbour's", func(p *Pool) { *p.u.Frame(3) = *p.u.Frame(2) }, 1},
		{"the last frame is missing in the free set", func(p *Pool) { p.free.words[0] &^= 1 << 7 }, 1},
		{"the free set is forgotten", func(p *Pool) { p.free = newFreeSet(8) }, 4},
		{"the free set has a posted frame", func(p *Pool) { p.free.add(0) }, 1},
		{"the free set has a delivered frame", func(p *Pool) { p.free.add(1) }, 1},
		{"the free set has a held frame instead of a free one", func(p *Pool) { p.free.words[0] ^= 1<<7 | 1<<2 }, 2},
		{"a free frame was counted as held", func(p *Pool) { p.counts[Free]--; p.counts[Held]++ }, 1},
		{"a delivered frame claims to be free", func(p *Pool) { p.u.Frame(1).state = Free }, 1},
		{"a delivered frame claims to be received", func(p *Pool) { p.u.Frame(1).state = Received }, 1},
		{"a posted frame claims to be delivered", func(p *Pool) { p.u.Frame(0).state = Delivered }, 1},
		{"the last free frame claims to be delivered", func(p *Pool) { p.u.Frame(7).state = Delivered }, 1},
		{"a frame has a state that there is not", func(p *Pool) { p.u.Frame(1).state = 99 }, 1},
		{"a frame claims another home", func(p *Pool) { p.u.Frame(1).home = 1 }, 1},
		{"a frame claims another number", func(p *Pool) { p.u.Frame(1).index = 2 }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, ps := region(t, Config{Frames: 16}, 2)
			p := ps[0]
			// Frames 0 posted, 1 delivered, 2 held, 3 received, 4..7 free.
			hs := take(t, p, 4)
			p.Deliver(hs[1])
			p.Hold(hs[2])
			p.move(hs[0], Received, Filling)
			mustBalance(t, p)
			c.lose(p)
			l := p.Audit()
			if l.Lost != c.lost {
				t.Errorf("lost %d, want %d: %v", l.Lost, c.lost, l)
			}
			if other := ps[1].Audit(); other.Lost != 0 {
				t.Errorf("the other pool: %v", other)
			}
		})
	}
}

func fillHeader(h *Header, with byte) {
	b := h.bytes()
	for i := range b {
		b[i] = with
	}
}

func TestLedgersAddUp(t *testing.T) {
	a := Ledger{Total: 36, Free: 1, Filling: 2, Received: 3, Held: 4, Delivered: 5, Sending: 6, Lost: 7}
	want := Ledger{72, 2, 4, 6, 8, 10, 12, 14}
	if got := a.Add(a); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	const line = "total 36 = free 1 + filling 2 + received 3 + held 4 + delivered 5 + sending 6, lost 7"
	if a.String() != line {
		t.Errorf("%s", a)
	}
}

func TestEveryStateIsCountedWhereItIs(t *testing.T) {
	p := onePool(t, 16)
	hs := take(t, p, 6)
	p.Hold(hs[0])
	p.Deliver(hs[1])
	p.Deliver(hs[2])
	p.Release(hs[2], hs[2].Gen()) // on its way home is still delivered
	p.Drop(hs[3])
	p.Fill(make([]uint64, 3))
	want := Ledger{Total: 16, Free: 8, Filling: 3, Received: 2, Held: 1, Delivered: 2}
	if got := p.Audit(); got != want {
		t.Errorf("walked %v, want %v", got, want)
	}
	if got := p.Counts(); got != want {
		t.Errorf("counted %v, want %v", got, want)
	}
	if !p.Returned() || p.Reclaim() != 1 || p.Returned() || p.Reclaim() != 0 {
		t.Error("one packet was on its way home")
	}
	mustBalance(t, p)
}
