package umem

import "unsafe"

// at returns the header at a byte offset of the region. The offset must be one of a chunk base.
func (u *Umem) at(off uint64) *Header {
	// Safety: callers pass an offset below len(u.mem)-HeaderSize (checked in Receive, Chunk and New) that is a multiple
	// of 64; u.mem is page aligned or checked to be 64-byte aligned by NewOn, so the header is aligned.
	return (*Header)(unsafe.Add(u.base, off))
}

// Deref returns the frame that r names, or nil for 0. r must come from this Umem.
func (u *Umem) Deref(r Ref) *Header {
	if r == 0 {
		return nil
	}
	// Safety: as for at; a Ref is only ever made by RefOf from a header of this region.
	return (*Header)(unsafe.Add(u.base, uint64(r-1)*refUnit))
}

// RefOf returns the name of h within this Umem.
func (u *Umem) RefOf(h *Header) Ref {
	// Safety: h points into the region, so the difference is its offset.
	return Ref((uintptr(unsafe.Pointer(h))-uintptr(u.base))/refUnit) + 1
}

// chunkOf returns the offset of h's chunk in the region: the address that goes on a fill ring.
func (u *Umem) chunkOf(h *Header) uint64 {
	// Safety: as for RefOf.
	return uint64(uintptr(unsafe.Pointer(h)) - uintptr(u.base))
}

// Bytes returns the bytes of this buffer, len h.Len, cap to the end of the packet only: appending never runs into
// memory that is not the packet's.
func (h *Header) Bytes() []byte {
	// Safety: Off and Len were checked against the chunk size by Receive, and are narrowed, never widened, after that.
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(h), uintptr(h.Off))), int(h.Len))
}

// Payload returns the bytes that this buffer adds to its packet: all of it but the Skip bytes of hidden headers.
func (h *Header) Payload() []byte { return h.Bytes()[h.Skip:] }

// Before returns the n bytes in front of the packet: XDP metadata ends there. It panics where n would reach beyond the
// chunk: an XDP program may have moved the packet up to the hidden header.
func (h *Header) Before(n int) []byte {
	// Safety: the slice is the chunk up to the packet, Off was checked by Receive; cutting its end off is bounds-checked.
	return unsafe.Slice((*byte)(unsafe.Pointer(h)), int(h.Off))[int(h.Off)-n:]
}

// tag returns the last byte in front of where packets start in the chunk at base: their metadata's tag.
func (u *Umem) tag(base uint64) *byte {
	// Safety: base is a chunk's, and PacketOffset is inside the chunk (Config.validate).
	return (*byte)(unsafe.Add(u.base, base+uint64(u.PacketOffset())-1))
}

// Of returns the frame whose chunk contains b's first byte: the way back from plain bytes to what is known about them.
// A slice from elsewhere is a *MisuseError (ForeignAddress), a smashed header one too (Corrupt).
func (u *Umem) Of(b []byte) (*Header, error) {
	// Safety: only the numbers are used; nothing is read through the pointer until Chunk has checked it.
	off := uintptr(unsafe.Pointer(unsafe.SliceData(b))) - uintptr(u.base)
	return u.Chunk(uint64(off))
}
