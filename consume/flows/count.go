package flows

import (
	"iter"

	"xrx"
	"xrx/internal/headers"
	"xrx/umem"
)

// packet is what is asked of an xrx.Packet.
type packet interface {
	Data() []byte
	Len() int
	Count() int
	GSOSize() int
	IsChain() bool
	IsList() bool
	Segments() iter.Seq[[]byte]
	Meta() xrx.Meta
}

// count accounts a packet that came at a time, in ns since 1970.
func count[P packet](s *shard, p P, now int64) {
	if p.Count() > 1 && p.IsList() { // several packets with their own headers
		for b := range p.Segments() {
			s.one(b, len(b), 1, 0, 0, now)
		}
		return
	}
	tag := uint16(0)
	if m := p.Meta(); m.Flags&umem.VLANHW != 0 {
		tag = m.VLANTCI
	}
	s.one(p.Data(), p.Len(), p.Count(), p.GSOSize(), tag, now)
}

// one accounts a packet of total bytes that was segs packets of size bytes of payload on the wire.
func (s *shard) one(b []byte, total, segs, size int, tag uint16, now int64) {
	var h headers.Packet
	problem := h.Parse(b, total)
	bytes := uint64(total)
	if segs > 1 {
		bytes += uint64((segs - 1) * h.Payload)
	}
	s.stats.Packets += uint64(segs)
	s.stats.Bytes += bytes
	switch problem {
	case headers.NotIP:
		s.stats.NotIP += uint64(segs)
		return
	case headers.Malformed:
		s.stats.Malformed += uint64(segs)
		return
	}
	if tag != 0 {
		h.VLAN = tag
	}
	k := keyOf(&h)
	f, n := s.get(k, now)
	if f.ended && problem == headers.OK && h.Flags&syn != 0 { // a new connection between the same ports
		why := Fin
		if f.flags&rst != 0 {
			why = Rst
		}
		s.remove(n, why)
		f, n = s.get(k, now)
	}
	f.n.Packets += uint64(segs)
	f.n.Bytes += bytes
	if problem == headers.OK && h.Proto == headers.TCP {
		f.flags |= h.Flags
		before := f.n
		f.seq.segment(&f.n, h.Seq, h.Flags, h.End-h.Payload, segs, size)
		s.stats.Retransmits += f.n.Retransmits - before.Retransmits
		s.stats.Late += f.n.Late - before.Late
		if h.Flags&(fin|rst) != 0 {
			s.end(f, n)
		}
	}
	s.touch(f, n, now)
}
