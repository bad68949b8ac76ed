package gro

import (
	"xrx/umem"
)

const (
	typeIPv4 = 0x0800
	typeIPv6 = 0x86dd
	typeVLAN = 0x8100
	typeAD   = 0x88a8

	protoHopByHop = 0
	protoIPv4     = 4
	protoTCP      = 6
	protoUDP      = 17
	protoIPv6     = 41
	protoRouting  = 43
	protoFragment = 44
	protoGRE      = 47
	protoDestOpts = 60

	ethLen = 14
)

// parse reads h's headers into pk, down to TCP or UDP, and verifies the checksums on the way. Every length is checked
// against the bytes that are there; the metadata of the XDP program is used for the tag that the device stripped, which
// is nowhere else, and for nothing that the packet itself says.
func (e *Engine) parse(h *umem.Header, pk *pkt) {
	*pk = pkt{}
	b := h.Bytes()
	if len(b) < ethLen {
		pk.verdict = Short
		pk.headersElsewhere(h)
		return
	}
	pk.k0, pk.k1 = le.Uint64(b), ethTail(b)
	etype, off := be.Uint16(b[12:]), ethLen
	var shape uint64
	if etype == typeVLAN || etype == typeAD {
		etype, off, shape = pk.vlan(b)
		if shape == 0 {
			pk.headersElsewhere(h)
			return
		}
	}
	if m := h.Meta(e.off); m.Flags&umem.VLANHW != 0 { // F2
		shape |= shapeWide | shapeHWVLAN
		pk.k8 |= uint64(m.VLANTCI)<<32 | uint64(m.Flags&umem.VLANAD)<<48
	}
	pk.k3 |= shape << 48
	n := int(h.Total) - off // bytes from here to the end of the packet, which may lie in other buffers
	pk.room = h.Total - ethLen
	if e.cfg.MTU != 0 && n > e.cfg.MTU {
		pk.verdict = SuperFrame
	}
	var proto uint8
	var hl int
	switch etype {
	case typeIPv4:
		proto, hl, n = pk.ipv4(b[off:], n)
	case typeIPv6:
		proto, hl, n = pk.ipv6(b[off:], n)
	default:
		pk.refuse(NotIP)
		if off > ethLen {
			pk.verdict = VLANType // F4
		}
		return
	}
	if hl == 0 {
		pk.headersElsewhere(h)
		return
	}
	pk.lay.l3 = uint8(off)
	off += hl
	if proto == protoIPv4 || proto == protoIPv6 { // E2
		if off > 255 || pk.verdict == IPv6Fragment {
			pk.refuse(LongHeaders)
			return
		}
		pk.tunnel(b)
		if proto == protoIPv4 {
			proto, hl, n = pk.ipv4(b[off:], n-hl)
		} else {
			proto, hl, n = pk.ipv6(b[off:], n-hl)
		}
		if hl == 0 {
			pk.headersElsewhere(h)
			return
		}
		pk.lay.l3 = uint8(off)
		off += hl
	}
	if off > 255-60 { // leaves room for the longest TCP header, and for offsets in a byte
		pk.refuse(LongHeaders)
		return
	}
	pk.lay.l4 = uint8(off)
	switch proto {
	case protoTCP:
		e.tcp(h, pk, b, off, n-hl)
	case protoUDP:
		e.udp(h, pk, b, off, n-hl)
	case protoGRE:
		pk.refuse(TunnelGRE)
	case protoIPv4, protoIPv6:
		pk.refuse(TunnelNested) // E1
	default:
		pk.refuse(Protocol)
	}
}

// headersElsewhere corrects Short for a packet that does go on, in another buffer.
func (pk *pkt) headersElsewhere(h *umem.Header) {
	if pk.verdict == Short && h.Seg != 0 {
		pk.verdict = SplitHeaders
	}
}

// vlan reads one or two in-band tags (F4) and returns the EtherType within and where its header starts. shape is 0 if
// that can't be done.
func (pk *pkt) vlan(b []byte) (etype uint16, off int, shape uint64) {
	if len(b) < ethLen+4 {
		pk.verdict = Short
		return
	}
	etype, off, shape = be.Uint16(b[16:]), ethLen+4, shapeVLAN
	pk.k3 = uint64(be.Uint16(b[14:])) << 32
	if etype == typeVLAN || etype == typeAD {
		if len(b) < ethLen+8 {
			pk.verdict = Short
			return 0, 0, 0
		}
		pk.k8 = uint64(etype)<<16 | uint64(be.Uint16(b[18:]))
		etype, off, shape = be.Uint16(b[20:]), ethLen+8, shapeVLAN|shapeQinQ|shapeWide
	}
	return etype, off, shape
}
