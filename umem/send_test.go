package umem

import (
	"fmt"
	"testing"
)

func TestACompletionThatCannotBeRightIsCountedByNameAndChangesNothing(t *testing.T) {
	for _, cfg := range []Config{{Frames: 6}, {Frames: 6, ChunkSize: 3000, Unaligned: true}} {
		stride := uint64(strideOf(Config{ChunkSize: max(cfg.ChunkSize, 2048)}))
		for _, c := range []struct {
			name  string
			frame uint64 // 0 is sending, 1 received, 2 free, 4 is sending in the other pool
			want  Fault
		}{
			{"the first chunk behind the last", 6, BadAddress},
			{"far away", 1 << 20, BadAddress},
			{"a frame that is received", 1, NotSending},
			{"a free frame", 2, NotSending},
			{"a frame that another queue sends", 4, NotHome},
		} {
			t.Run(fmt.Sprintf("%s, %d", c.name, stride), func(t *testing.T) {
				u, ps := region(t, cfg, 2)
				p := ps[0]
				p.Send(take(t, p, 1)[0])
				take(t, p, 1)
				theirs := take(t, ps[1], 2)
				ps[1].Send(theirs[1])
				if u.State(u.Frame(4)) != Sending || u.State(u.Frame(0)) != Sending || u.State(u.Frame(1)) != Received {
					t.Fatal("the frames are not where the test wants them")
				}
				before := p.Audit()
				addr := c.frame * stride
				if f := p.Completed(descriptor(u, addr)); f != c.want {
					t.Fatalf("fault %v, want %v", f, c.want)
				}
				var want [NumFaults]uint64
				want[c.want] = 1
				if p.Unsent != want || p.Faults != ([NumFaults]uint64{}) {
					t.Errorf("counted %v and %v, want %v", p.Unsent, p.Faults, want)
				}
				if p.Audit() != before || ps[1].Audit().Sending != 1 {
					t.Errorf("ledger was %v, is %v", before, p.Audit())
				}
				good := u.Address(u.Frame(0))
				if f := p.Completed(good); f != NoFault {
					t.Errorf("the good completion afterwards: %v", f)
				}
				if f := p.Completed(good); f != NotSending {
					t.Errorf("the same completion again: %v", f)
				}
				mustBalance(t, p)
			})
		}
	}
}

func TestACompletionOfASmashedFrameIsAFault(t *testing.T) {
	p := onePool(t, 4)
	h := take(t, p, 1)[0]
	p.Send(h)
	p.u.mem[3] ^= 0x40
	if f := p.Completed(p.u.Address(h)); f != BadMagic {
		t.Fatalf("fault %v", f)
	}
}

// The address of a descriptor is what the completion brings back: also when the packet begins elsewhere than the kernel
// put it, and when an unaligned chunk's offset was added to its base.
func TestTheAddressOfASentFrameLeadsBackToIt(t *testing.T) {
	for _, cfg := range []Config{{Frames: 3}, {Frames: 3, ChunkSize: 3000, Unaligned: true}} {
		for _, forward := range []int{0, 4, 256} {
			u, ps := region(t, cfg, 1)
			p := ps[0]
			h := take(t, p, 2)[1]
			first := h.Bytes()
			first[0], first[59] = 1, 2
			if !u.Prepend(h, forward) || len(h.Bytes()) != 60+forward || int(h.Total) != 60+forward {
				t.Fatalf("prepend %d: %d bytes", forward, len(h.Bytes()))
			}
			if b := h.Bytes(); b[forward] != 1 || b[forward+59] != 2 {
				t.Error("the packet moved")
			}
			if u.Prepend(h, 257-forward) {
				t.Error("prepended beyond the headroom, into the hidden header")
			}
			p.Send(h)
			addr := u.Address(h)
			if cfg.Unaligned && forward == 4 {
				addr = addr&(1<<48-1) + addr>>48
			}
			if f := p.Completed(addr); f != NoFault || u.State(h) != Free {
				t.Errorf("%#x: %v, frame is %v", addr, f, u.State(h))
			}
			mustBalance(t, p)
		}
	}
}

func TestAFrameThatIsSendingIsNobodysToHandOn(t *testing.T) {
	p := onePool(t, 4)
	h := take(t, p, 1)[0]
	p.Send(h)
	for name, f := range map[string]func(){
		"send": func() { p.Send(h) }, "deliver": func() { p.Deliver(h) }, "hold": func() { p.Hold(h) }, "drop": func() { p.Drop(h) }} {
		if m := misuse(t, f); m == nil || m.Kind != NotReceived || m.State != Sending {
			t.Errorf("%s: %v", name, m)
		}
	}
	if m := misuse(t, func() { p.SendDelivered(h, h.Gen()) }); m == nil || m.Kind != NotDelivered {
		t.Errorf("send by a holder: %v", m)
	}
	if _, f := p.Receive(descriptor(p.u, p.u.chunkOf(h)), 60); f != NotFilling {
		t.Errorf("an rx descriptor for it: %v", f)
	}
	p.TakeBack() // the frames of the fill ring, not those of a tx ring
	if l := p.Audit(); l.Sending != 1 || l.Free != 3 {
		t.Errorf("ledger: %v", l)
	}
	mustBalance(t, p)
}
