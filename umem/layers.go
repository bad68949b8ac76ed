package umem

// Layers is the part of Meta that says where h's headers are, for who reads it of every packet: in registers, not in a
// struct. l3 is 0 where there is no metadata, or no IP.
func (h *Header) Layers(expected int) (l3, l4Off, l4Proto uint8) {
	if int(h.Off) != expected {
		return 0, 0, 0
	}
	b := h.Before(8)
	if b[7] != metaKind1 && b[7] != metaKind2 {
		return 0, 0, 0
	}
	return b[3], b[5], b[6]
}
