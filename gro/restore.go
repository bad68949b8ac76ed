package gro

import "xrx/umem"

// Restore gives the first frame of a merged packet the headers back that it came with. After that every frame of the
// chain holds a packet of the wire, byte for byte, and can be sent as it is; h is a merged packet no more. Packets that
// are alone, and lists, are such already. The bytes must be nobody else's.
func Restore(u *umem.Umem, h *umem.Header) {
	if h.Segs <= 1 || IsList(u, h) {
		return
	}
	var o original
	o.load(&h.Scratch)
	o.restore(h.Bytes()[:o.lay.pay])
}
