package umem

import (
	"strings"
	"testing"
	"xrx/internal/sys"
)

func TestEachMisuseOfAFramePanicsWithItsName(t *testing.T) {
	stale := func(p *Pool) (*Header, uint32) {
		h, gen := delivered(t, p)
		p.ReleaseLocal(h, gen)
		return h, gen
	}
	in := func(p *Pool, s State) (*Header, uint32) {
		h := take(t, p, 1)[0]
		switch s {
		case Held:
			p.Hold(h)
		case Free:
			p.Drop(h)
		case Filling:
			p.Drop(h)
			p.Fill(make([]uint64, 1))
		}
		if p.u.State(h) != s {
			t.Fatalf("frame is %v, not %v", p.u.State(h), s)
		}
		return h, h.Gen()
	}
	for _, c := range []struct {
		name  string
		do    func(*Pool)
		want  Misuse
		state State
		words string
	}{
		{"released twice", func(p *Pool) { h, g := stale(p); p.Release(h, g) }, DoubleRelease, Free, "double release"},
		{"released twice at home", func(p *Pool) { h, g := stale(p); p.ReleaseLocal(h, g) }, DoubleRelease, Free, "double release"},
		{"released twice on the way home", func(p *Pool) { h, g := delivered(t, p); p.Release(h, g); p.Release(h, g) }, DoubleRelease, Delivered, "double release"},
		{"released by an old holder of a frame that has a new one", func(p *Pool) {
			h, g := stale(p)
			if again, _ := delivered(t, p); again != h {
				t.Fatal("another frame")
			}
			p.Release(h, g)
		}, DoubleRelease, Delivered, "double release"},
		{"retained after release", func(p *Pool) { h, g := stale(p); p.Retain(h, g) }, UseAfterRelease, 0, "use after release"},
		{"read after release", func(p *Pool) { h, g := stale(p); h.Check(g) }, UseAfterRelease, 0, "use after release"},
		{"released while the kernel has it", func(p *Pool) { p.Release(in(p, Filling)) }, NotDelivered, Filling, "no consumer holds (frame is filling)"},
		{"released at home while the kernel has it", func(p *Pool) { p.ReleaseLocal(in(p, Filling)) }, NotDelivered, Filling, "no consumer holds (frame is filling)"},
		{"released while it is free", func(p *Pool) { p.Release(in(p, Free)) }, NotDelivered, Free, "frame is free"},
		{"released before delivery", func(p *Pool) { p.Release(in(p, Received)) }, NotDelivered, Received, "frame is received"},
		{"released while GRO has it", func(p *Pool) { p.ReleaseLocal(in(p, Held)) }, NotDelivered, Held, "frame is held"},
		{"retained while the kernel has it", func(p *Pool) { p.Retain(in(p, Filling)) }, NotDelivered, Filling, "frame is filling"},
		{"delivered twice", func(p *Pool) { h, _ := delivered(t, p); p.Deliver(h) }, NotReceived, Delivered, "not received or held (frame is delivered)"},
		{"delivered after it was freed", func(p *Pool) { h, _ := in(p, Free); p.Deliver(h) }, NotReceived, Free, "frame is free"},
		{"held after delivery", func(p *Pool) { h, _ := delivered(t, p); p.Hold(h) }, NotReceived, Delivered, "frame is delivered"},
		{"dropped twice", func(p *Pool) { h, _ := in(p, Free); p.Drop(h) }, NotReceived, Free, "frame is free"},
		{"dropped while the kernel has it", func(p *Pool) { h, _ := in(p, Filling); p.Drop(h) }, NotReceived, Filling, "frame is filling"},
		{"dropped while a consumer has it", func(p *Pool) { h, _ := delivered(t, p); p.Drop(h) }, NotReceived, Delivered, "frame is delivered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := onePool(t, 4)
			m := misuse(t, func() { c.do(p) })
			if m == nil {
				t.Fatal("was accepted")
			}
			if m.Kind != c.want || m.State != c.state || m.Frame != 0 || !strings.Contains(m.Error(), c.words) {
				t.Errorf("%v (kind %d, frame %d, state %v), want %q", m, m.Kind, m.Frame, m.State, c.words)
			}
			mustBalance(t, p)
			// And nothing was left behind: the frame goes on living one life at a time.
			p.Reclaim()
			for p.In(Filling) > 0 {
				p.TakeBack()
			}
			for p.In(Free) > 0 {
				h, gen := delivered(t, p)
				p.Retain(h, gen)
				p.Release(h, gen)
				p.Release(h, gen)
			}
			if p.Reclaim(); p.Audit().Lost != 0 {
				t.Errorf("afterwards: %v", p.Audit())
			}
		})
	}
}

// A consumer that writes in front of its packet, or behind its neighbour's, hits a hidden header.
func TestAHeaderOverwrittenByAConsumerIsFoundBeforeItsNextPacketIsSeen(t *testing.T) {
	smash := func(h *Header) { h.magic = 0x4141414141414141 }
	t.Run("at a second release", func(t *testing.T) {
		p := onePool(t, 4)
		h, gen := delivered(t, p)
		p.ReleaseLocal(h, gen)
		smash(h)
		if m := misuse(t, func() { p.Release(h, gen) }); m == nil || m.Kind != Corrupt {
			t.Errorf("%v", m)
		}
	})
	t.Run("when its next packet comes, after release", func(t *testing.T) {
		p := onePool(t, 4)
		h, gen := delivered(t, p)
		smash(h)
		p.ReleaseLocal(h, gen)
		comesBack(t, p)
	})
	t.Run("when its next packet comes, with every byte of the header gone", func(t *testing.T) {
		p := onePool(t, 4)
		fillHeader(p.u.Frame(0), 0xff)
		comesBack(t, p)
	})
}

// comesBack posts the first free frame, frame 0, whose header is smashed.
func comesBack(t *testing.T, p *Pool) {
	t.Helper()
	var slot [1]uint64
	p.Fill(slot[:])
	if h, f := p.Receive(descriptor(p.u, slot[0]), 60); h != nil || f != BadMagic || slot[0] != 0 {
		t.Errorf("chunk %#x: frame %v, %v", slot[0], h, f)
	}
	if in, _ := p.ReceiveWhole([]sys.XDPDesc{{Addr: descriptor(p.u, slot[0]), Len: 60}}, nil); len(in) != 0 {
		t.Errorf("received at once with others: %v", in[0])
	}
	if l := p.Audit(); l.Lost != 1 || l.Filling != 0 {
		t.Errorf("ledger %v", l)
	}
}

func TestMisuseErrorsSayWhatIsKnown(t *testing.T) {
	for _, c := range []struct {
		err  MisuseError
		want string
	}{
		{MisuseError{Kind: DoubleRelease, Frame: 7}, "umem: frame 7: double release"},
		{MisuseError{Kind: NotDelivered, Frame: 7, State: Filling}, "umem: frame 7: use or release of a frame that no consumer holds (frame is filling)"},
		{MisuseError{Kind: ForeignAddress, Frame: -1}, "umem: address outside the UMEM"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if State(0).String() != "invalid" || State(200).String() != "invalid" {
		t.Error("a state that is none has a name")
	}
}
