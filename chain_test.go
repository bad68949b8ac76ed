package xrx

import (
	"bytes"
	"fmt"
	"testing"

	"xrx/internal/fakekernel"
	"xrx/umem"
	"xrx/xsk"
)

// chunk is the most bytes of a packet in one of the chunks below.
const chunk = 2048 - 256 - umem.DefaultHeadroom

func newChains(t testing.TB, merge string) *bare {
	b := newBare(t, umem.Config{Frames: 64}, 32, merging[merge])
	b.k.SG = true
	return b
}

func TestAPacketOfSeveralBuffersIsDeliveredWhole(t *testing.T) {
	for name := range merging {
		for _, size := range []int{chunk, chunk + 1, 2 * chunk, 2*chunk + 1, 9014} {
			for _, budget := range []int{1, 2, 3, bareBudget} {
				t.Run(fmt.Sprintf("%d bytes, %d descriptors a poll, %s", size, budget, name), func(t *testing.T) {
					b := newChains(t, name)
					long, short := plain(2, size), plain(3, 60)
					buffers := (size + chunk - 1) / chunk
					b.handle = func(p Packet) {
						b.take(p)
						if p.Len() != 60 && (p.Len() != size || p.Count() != 1 || p.GSOSize() != 0 || p.IsChain() != (buffers > 1) || p.Offset() != umem.DefaultHeadroom+256) {
							t.Errorf("length %d, count %d, gso %d, chain %v, offset %d", p.Len(), p.Count(), p.GSOSize(), p.IsChain(), p.Offset())
						}
						slices, bytes := 0, 0
						for s := range p.Segments() {
							slices, bytes = slices+1, bytes+len(s)
						}
						if bytes != p.Len() || slices != max(1, (p.Len()+chunk-1)/chunk) || b.pool.Audit().Delivered != slices {
							t.Errorf("%d bytes in %d slices, %d frames delivered", bytes, slices, b.pool.Audit().Delivered)
						}
					}
					b.arrive(t, plain(1, 60), long, short)
					b.k.Flush()
					polls := 0
					for b.Poll(budget) > 0 {
						if polls++; b.pool.Audit().Lost != 0 {
							t.Fatal(b.pool.Audit())
						}
					}
					if want := (buffers + 2 + budget - 1) / budget; polls != want {
						t.Errorf("%d polls, want %d", polls, want)
					}
					b.expect(t, plain(1, 60), long, short)
					if s := b.snapshot(); s.OutPackets != 3 || s.OutBytes != uint64(120+size) || s.Bytes != uint64(120+size) || len(s.Drops) != 0 {
						t.Errorf("%d packets of %d bytes in, %d of %d out, drops %v", s.Packets, s.Bytes, s.OutPackets, s.OutBytes, s.Drops)
					}
				})
			}
		}
	}
}

// What is wrong with one buffer is wrong with the packet: no part of it is delivered, and the next packet is.
func TestAPacketWithARefusedBufferIsDroppedWholeAndCountedOnce(t *testing.T) {
	const buffers = 4
	for at := range buffers {
		for _, c := range []struct {
			name  string
			spoil func(descs []xsk.Desc)
			fault umem.Fault
		}{
			{"foreign", func(d []xsk.Desc) { d[at].Addr = 1 << 40 }, umem.BadAddress},
			{"too long", func(d []xsk.Desc) { d[at].Len = chunk + 1 }, umem.BadLength},
			{"duplicate of the packet before", func(d []xsk.Desc) { d[at+1].Addr = d[0].Addr }, umem.NotFilling},
		} {
			for _, budget := range []int{1, 3, bareBudget} {
				for name := range merging {
					t.Run(fmt.Sprintf("buffer %d %s, %d descriptors a poll, %s", at, c.name, budget, name), func(t *testing.T) {
						b := newChains(t, name)
						before, after := plain(1, 60), plain(3, 3000)
						b.arrive(t, before, plain(2, buffers*chunk-10), after)
						descs := b.k.Rx.Descs[:1+buffers+2]
						if c.fault != umem.NotFilling {
							descs = descs[1:]
						}
						c.spoil(descs)
						b.k.Flush()
						for b.Poll(budget) > 0 {
						}
						b.expect(t, before, after)
						s := b.snapshot()
						if len(s.Drops) != 2 || s.Drops["cut_chain"] != 1 || s.Drops["descriptor_"+c.fault.String()] != 1 {
							t.Errorf("drops %v, want one cut_chain and one %v", s.Drops, c.fault)
						}
						if free, filling := b.pool.In(umem.Free), b.pool.In(umem.Filling); free+filling != 64 {
							t.Errorf("%d frames free, %d filling of 64: the rest of the packet is kept", free, filling)
						}
					})
				}
			}
		}
	}
}

func TestAChainInAConsumersHandsGoesHomeWithItsLastReference(t *testing.T) {
	b := newChains(t, "GRO off")
	var held []Packet
	b.handle, b.batch = nil, func(batch []Packet) { held = append(held, batch...) }
	long := plain(1, 5000)
	b.arrive(t, long)
	b.k.Flush()
	b.Poll(bareBudget)
	p := held[0]
	buffers := (5000 + chunk - 1) / chunk
	p.Retain()
	p.Release()
	b.pool.Reclaim()
	if n := b.pool.In(umem.Delivered); n != buffers {
		t.Fatalf("%d frames with the consumer, want %d", n, buffers)
	}
	if !bytes.Equal(p.Bytes(nil), long) {
		t.Error("other bytes")
	}
	if got := p.Buffers(nil); len(got) != buffers || len(got[0]) != chunk {
		t.Errorf("%d buffers", len(got))
	}
	done := make(chan struct{})
	go func() { // from another goroutine, as consumers do
		p.Release()
		close(done)
	}()
	<-done
	if b.pool.Reclaim() != 1 || b.pool.In(umem.Delivered) != 0 {
		t.Errorf("%d frames still delivered", b.pool.In(umem.Delivered))
	}
	b.balance(t, 0)
}

func TestMetadataOfAChainIsThatOfItsFirstBuffer(t *testing.T) {
	b := newChains(t, "GRO off")
	meta := []byte{0x78, 0x56, 0x34, 0x12, 5, 0x20, byte(umem.VLANInBand), 0, 0, 0, 0, 0x13}
	var got Meta
	b.handle = func(p Packet) { got = p.Meta() }
	b.k.Receive(fakekernel.Packet{Data: plain(1, 5000), Meta: meta})
	b.Poll(bareBudget)
	if want := (Meta{Kind: 1, Hash: 0x12345678, VLANTCI: 0x2005, Flags: umem.VLANInBand}); got != want {
		t.Errorf("metadata %+v, want %+v", got, want)
	}
	b.balance(t, 0)
}
