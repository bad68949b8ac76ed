package umem

import (
	"fmt"
	"testing"
)

func TestADescriptorThatCannotBeRightIsCountedByNameAndChangesNothing(t *testing.T) {
	aligned, unaligned := Config{Frames: 7}, Config{Frames: 7, ChunkSize: 3000, Unaligned: true}
	const free, filling, other = 2, 0, 5 // frames: free, posted, in the other pool
	for _, cfg := range []Config{aligned, unaligned} {
		stride := uint64(strideOf(Config{ChunkSize: max(cfg.ChunkSize, 2048)}))
		at := func(frame, off uint64) uint64 {
			if cfg.Unaligned {
				return frame*stride | off<<48
			}
			return frame*stride + off
		}
		room := uint32(stride) - 448
		if cfg.Unaligned {
			room = 3000 - 448
		}
		for _, c := range []struct {
			name string
			addr uint64
			len  uint32
			want Fault
		}{
			{"the first chunk behind the last", at(7, 448), 60, BadAddress},
			{"far away", at(1<<20, 448), 60, BadAddress},
			{"the highest base", ^uint64(0) >> 16, 60, BadAddress},
			{"a packet that runs out of its chunk by one byte", at(filling, 448), room + 1, BadLength},
			{"a length that overflows", at(filling, 448), ^uint32(0), BadLength},
			{"an offset inside the hidden header", at(filling, 127), 60, BadLength},
			{"an offset of zero", at(filling, 0), 60, BadLength},
			{"a frame that was never posted", at(free, 448), 60, NotFilling},
			{"a frame of another queue", at(other, 448), 60, NotHome},
		} {
			t.Run(fmt.Sprintf("%s, %d", c.name, stride), func(t *testing.T) {
				u, ps := region(t, cfg, 2)
				p := ps[0]
				p.Fill(make([]uint64, 2))
				ps[1].Fill(make([]uint64, ps[1].Total()))
				before := p.Audit()
				h, f := p.Receive(c.addr, c.len)
				if h != nil || f != c.want {
					t.Fatalf("frame %v, fault %v, want %v", h, f, c.want)
				}
				var want [NumFaults]uint64
				want[c.want] = 1
				if p.Faults != want {
					t.Errorf("counted %v, want %v", p.Faults, want)
				}
				if p.Audit() != before || ps[1].Audit().Filling != ps[1].Total() {
					t.Errorf("ledger was %v, is %v", before, p.Audit())
				}
				if h, f := p.Receive(descriptor(u, 0), 60); f != NoFault || h.Index() != 0 {
					t.Errorf("the good descriptor afterwards: %v", f)
				}
			})
		}
	}
}

func TestADuplicateDescriptorIsRefusedInEveryStateOfItsFrame(t *testing.T) {
	for _, c := range []struct {
		state State
		move  func(*Pool, *Header)
	}{
		{Received, func(*Pool, *Header) {}},
		{Held, func(p *Pool, h *Header) { p.Hold(h) }},
		{Delivered, func(p *Pool, h *Header) { p.Deliver(h) }},
		{Free, func(p *Pool, h *Header) { p.Drop(h) }},
	} {
		t.Run(c.state.String(), func(t *testing.T) {
			p := onePool(t, 4)
			h := take(t, p, 1)[0]
			c.move(p, h)
			if p.u.State(h) != c.state {
				t.Fatalf("frame is %v", p.u.State(h))
			}
			if again, f := p.Receive(descriptor(p.u, p.u.chunkOf(h)), 60); again != nil || f != NotFilling {
				t.Errorf("frame %v, fault %v", again, f)
			}
			mustBalance(t, p)
		})
	}
}

func TestASmashedHeaderIsAFaultOfItsDescriptor(t *testing.T) {
	p := onePool(t, 4)
	p.Fill(make([]uint64, 1))
	p.u.mem[3] ^= 0x40
	if h, f := p.Receive(448, 60); h != nil || f != BadMagic {
		t.Fatalf("frame %v, fault %v", h, f)
	}
}

// Some drivers write the offset of an unaligned chunk into the low bits.
func TestAnUnalignedAddressMayCarryItsOffsetInEitherPlace(t *testing.T) {
	for _, addr := range []uint64{3008 | 448<<48, 3008 + 448, 3008 + 192 | 256<<48} {
		_, ps := region(t, Config{Frames: 3, ChunkSize: 3000, Unaligned: true}, 1)
		ps[0].Fill(make([]uint64, 2))
		h, f := ps[0].Receive(addr, 60)
		if f != NoFault || h.Index() != 1 || h.Off != 448 {
			t.Errorf("%#x: %v, %+v", addr, f, h)
		}
	}
}

func TestAPacketThatAnXDPProgramMovedKeepsItsPlace(t *testing.T) {
	p := onePool(t, 4)
	p.Fill(make([]uint64, 1))
	h, f := p.Receive(192, 1856) // bpf_xdp_adjust_head to the very front, tail at the very end
	if f != NoFault || h.Off != 192 || h.Len != 1856 {
		t.Fatalf("%v, %+v", f, h)
	}
	if p.u.Headroom(h) != 0 || p.u.Tailroom(h) != 0 {
		t.Errorf("headroom %d, tailroom %d", p.u.Headroom(h), p.u.Tailroom(h))
	}
	if m := h.Meta(p.u.PacketOffset()); m != (Meta{}) {
		t.Errorf("metadata of a packet that was moved: %+v", m)
	}
	defer func() {
		if recover() == nil {
			t.Error("Before reached beyond the chunk's first byte")
		}
	}()
	h.Before(193)
}

func TestFaultsHaveTheNamesThatReportsShow(t *testing.T) {
	want := []string{"none", "bad_address", "bad_length", "bad_magic", "not_filling", "not_home", "not_sending"}
	for f := range NumFaults {
		if f.String() != want[f] {
			t.Errorf("fault %d is %q, want %q", f, f, want[f])
		}
	}
}
