package xrx

import (
	"iter"

	"xrx/gro"
)

// Views of a packet that GRO merged: the wire packets that it was made of.

// IsList reports whether the packet is several, chained with their headers kept (gro.Config.List), and not one packet
// with headers of its own. Segments, Buffers and Bytes then give packet after packet, each from its Ethernet header on,
// and Len is the sum of their lengths.
func (p Packet) IsList() bool {
	p.h.Check(p.gen)
	return gro.IsList(p.q.mem, p.h)
}

// Splitter is the memory that taking packets apart needs, reused from packet to packet: one per goroutine. The zero
// value is ready.
type Splitter = gro.Splitter

// Resegment yields the Count packets that arrived on the wire for this one, in order and byte for byte, each as its
// buffers (mostly two: headers and payload), from the Ethernet header on. Each is valid until the next is yielded, and
// the bytes as long as the packet. The packet itself is not changed. What GRO rewrote (lengths, checksums, PSH and FIN)
// is put back from a copy; a consumer that wrote into the packet finds its own changes in the rest.
func (p Packet) Resegment() iter.Seq[[][]byte] { return p.ResegmentWith(new(Splitter)) }

// ResegmentWith is Resegment without an allocation: s is in use until the iteration ends.
func (p Packet) ResegmentWith(s *Splitter) iter.Seq[[][]byte] {
	p.h.Check(p.gen)
	return func(yield func([][]byte) bool) {
		p.h.Check(p.gen)
		s.Wire(p.q.mem, p.h)(yield)
	}
}

// AppendWire appends copies of the packets that arrived on the wire, one slice each, to dst.
func (p Packet) AppendWire(dst [][]byte) [][]byte {
	for parts := range p.Resegment() {
		n := 0
		for _, b := range parts {
			n += len(b)
		}
		packet := make([]byte, 0, n)
		for _, b := range parts {
			packet = append(packet, b...)
		}
		dst = append(dst, packet)
	}
	return dst
}
