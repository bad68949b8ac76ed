package gro

import (
	"iter"

	"xrx/umem"
)

// What a consumer sees of a delivered packet. These are functions over the frames, not methods of an Engine: any
// goroutine that holds a reference may call them. Slices are valid as long as the reference is.

// Pieces returns the bytes of a packet in order: the first buffer (headers and payload), then what each further buffer
// adds. In list mode that is packet after packet, each with its headers.
func Pieces(u *umem.Umem, h *umem.Header) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for f := h; f != nil; f = u.Deref(f.Seg) {
			if !yield(f.Payload()) {
				return
			}
		}
	}
}

// AppendPieces appends Pieces to vec, for writev (net.Buffers).
func AppendPieces(vec [][]byte, u *umem.Umem, h *umem.Header) [][]byte {
	for f := h; f != nil; f = u.Deref(f.Seg) {
		vec = append(vec, f.Payload())
	}
	return vec
}

// CopyTo copies the packet's bytes into dst and returns how many fitted: all of them if dst has h.Total bytes.
func CopyTo(dst []byte, u *umem.Umem, h *umem.Header) (n int) {
	for f := h; f != nil && n < len(dst); f = u.Deref(f.Seg) {
		n += copy(dst[n:], f.Payload())
	}
	return n
}

// IsList reports whether h stands for several packets chained with their headers kept.
func IsList(u *umem.Umem, h *umem.Header) bool {
	if h.Segs <= 1 {
		return false
	}
	for f := u.Deref(h.Seg); f != nil; f = u.Deref(f.Seg) {
		if f.Kind == umem.Segment {
			return f.Skip == 0
		}
	}
	return false
}
