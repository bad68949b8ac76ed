package gro

import (
	"iter"

	"xrx/umem"
)

// Splitter takes packets apart again. Its memory is reused from packet to packet: one per goroutine, the zero value is
// ready.
type Splitter struct {
	head [256]byte // the first packet's headers as they came; a layout's offsets fit in a byte
	vec  [][]byte
}

// Wire returns the packets that arrived for h, in order and byte for byte, each as its buffers (one or two, more with
// XDP multi-buffer). What is yielded is valid until the next one is. The packet itself is not changed: the first
// packet's headers are a copy, all else lies in the frames.
func (s *Splitter) Wire(u *umem.Umem, h *umem.Header) iter.Seq[[][]byte] {
	return func(yield func([][]byte) bool) {
		s.vec = s.vec[:0]
		b := h.Bytes()
		if h.Segs > 1 && !IsList(u, h) {
			var o original
			o.load(&h.Scratch)
			n := copy(s.head[:o.lay.pay], b)
			o.restore(s.head[:n])
			s.vec, b = append(s.vec, s.head[:n]), b[n:]
		}
		s.vec = append(s.vec, b)
		for f := u.Deref(h.Seg); f != nil; f = u.Deref(f.Seg) {
			if f.Kind == umem.Segment {
				if !yield(s.vec) {
					return
				}
				s.vec = s.vec[:0]
			}
			s.vec = append(s.vec, f.Bytes())
		}
		yield(s.vec)
	}
}

// Resegment is Wire with a Splitter of its own: for where an allocation does not matter.
func Resegment(u *umem.Umem, h *umem.Header) iter.Seq[[][]byte] { return new(Splitter).Wire(u, h) }
