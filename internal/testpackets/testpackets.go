// Package testpackets makes delivered packets without an interface and without root: frames go through the engine in
// anonymous memory. For pure tests and benchmarks of what consumers do with a packet.
package testpackets

import (
	"iter"
	"testing"

	"xrx"
	"xrx/gro"
	"xrx/umem"
)

// Packet has the methods of xrx.Packet that read. Meta is what the test says.
type Packet struct {
	u *umem.Umem
	h *umem.Header
	m *xrx.Meta
}

func (p Packet) Data() []byte                  { return p.h.Bytes() }
func (p Packet) Len() int                      { return int(p.h.Total) }
func (p Packet) Count() int                    { return int(p.h.Segs) }
func (p Packet) GSOSize() int                  { return int(p.h.GSOSize) }
func (p Packet) IsChain() bool                 { return p.h.Seg != 0 }
func (p Packet) IsList() bool                  { return gro.IsList(p.u, p.h) }
func (p Packet) Queue() int                    { return 0 }
func (p Packet) Checksum() umem.Csum           { return p.h.Csum }
func (p Packet) Meta() xrx.Meta                { return *p.m }
func (p Packet) Segments() iter.Seq[[]byte]    { return gro.Pieces(p.u, p.h) }
func (p Packet) SetChecksum(c umem.Csum)       { p.h.Csum = c }
func (p Packet) SetMeta(m xrx.Meta)            { *p.m = m }
func (p Packet) Resegment() iter.Seq[[][]byte] { return p.ResegmentWith(new(xrx.Splitter)) }
func (p Packet) ResegmentWith(s *xrx.Splitter) iter.Seq[[][]byte] {
	return s.Wire(p.u, p.h)
}

// Receive lets frames of at most 1664 bytes come in one poll and returns what is delivered. It is released when the
// test ends.
func Receive(t testing.TB, cfg gro.Config, frames ...[]byte) (out []Packet) {
	t.Helper()
	mem, err := umem.New(umem.Config{Frames: max(8, 2*len(frames)), ChunkSize: 2048})
	if err != nil {
		t.Fatal(err)
	}
	pools, err := mem.Split(1)
	if err != nil {
		t.Fatal(err)
	}
	pool := pools[0]
	engine, err := gro.New(pool, cfg)
	if err != nil {
		t.Fatal(err)
	}
	burst := make([]*umem.Header, 0, len(frames))
	for _, b := range frames {
		var slot [1]uint64
		pool.Fill(slot[:])
		at := slot[0] + uint64(mem.PacketOffset())
		copy(mem.Memory()[at:], b)
		h, fault := pool.Receive(at, uint32(len(b)))
		if fault != umem.NoFault || len(b) > mem.Usable() {
			t.Fatalf("frame of %d bytes refused: %v", len(b), fault)
		}
		burst = append(burst, h)
	}
	engine.Receive(burst)
	engine.FlushAll()
	for _, h := range engine.Out() {
		pool.Deliver(h)
		out = append(out, Packet{mem, h, new(xrx.Meta)})
	}
	t.Cleanup(func() {
		for _, p := range out {
			pool.ReleaseLocal(p.h, p.h.Gen())
		}
		if l := pool.Audit(); l.Lost != 0 {
			t.Errorf("ledger: %v", l)
		}
		if err := mem.Close(); err != nil {
			t.Error(err)
		}
	})
	return out
}
