package gro

import (
	"bytes"

	"xrx/internal/csum"
)

// ipv4 reads the IPv4 header at l3, where n bytes are left of the packet. It returns the protocol, the header's length
// (0: the flow can't be read) and how many of the n bytes belong to the datagram.
func (pk *pkt) ipv4(l3 []byte, n int) (proto uint8, hl int, left int) {
	if len(l3) < 20 {
		pk.refuse(Short)
		return 0, 0, 0
	}
	hl = int(l3[0]&15) * 4
	if l3[0] != 0x45 { // V1
		if l3[0]>>4 != 4 || hl < 20 {
			pk.refuse(IPv4Version)
			return 0, 0, 0
		}
		if hl > len(l3) {
			pk.refuse(Short)
			return 0, 0, 0
		}
		pk.refuse(IPv4Options)
	}
	frag := be.Uint16(l3[6:])
	if frag&0x3fff != 0 { // V2
		pk.refuse(IPv4Fragment)
		if frag&0x1fff != 0 {
			return 0, 0, 0 // the ports were in another packet
		}
		pk.noSum = true
	}
	if csum.Sum(l3[:hl]) != 0xffff { // V3
		pk.refuse(IPv4Checksum)
	}
	if tot := int(be.Uint16(l3[2:])); tot != n { // V4
		pk.refuse(IPv4Length)
		if tot < n {
			n = max(tot, hl)
		} else {
			pk.noSum = true
		}
	}
	if frag&0x8000 != 0 { // V5
		pk.refuse(IPv4Reserved)
	}
	pk.k2 = le.Uint64(l3[12:])
	pk.l3 = uint32(l3[1])<<16 | uint32(l3[8])<<8 | uint32(l3[6]&0x40)
	pk.id = be.Uint16(l3[4:])
	return l3[9], hl, n
}

// ipv6 is ipv4 for IPv6, extension headers included in the header's length.
func (pk *pkt) ipv6(l3 []byte, n int) (proto uint8, hl int, left int) {
	if len(l3) < 40 {
		pk.refuse(Short)
		return 0, 0, 0
	}
	if l3[0]>>4 != 6 {
		pk.refuse(IPv6Version)
		return 0, 0, 0
	}
	if plen := int(be.Uint16(l3[4:])); plen != n-40 { // W1
		pk.refuse(IPv6Length)
		if plen < n-40 {
			n = plen + 40
		} else {
			pk.noSum = true
		}
	}
	word := be.Uint32(l3)
	pk.bits |= bV6
	pk.k3 |= (shapeV6 | shapeWide) << 48
	pk.k2, pk.k4 = le.Uint64(l3[8:]), le.Uint64(l3[16:])
	pk.k5, pk.k6 = le.Uint64(l3[24:]), le.Uint64(l3[32:])
	pk.k7 |= uint64(word & 0xfffff)
	pk.l3 = word>>20&0xff<<16 | uint32(l3[7])<<8
	proto, hl = l3[6], 40
	for proto == protoHopByHop || proto == protoRouting || proto == protoDestOpts { // W2
		pk.k3 |= (shapeWide | shapeLong) << 48
		if hl+8 > len(l3) || hl+8 > n {
			pk.refuse(Short)
			return 0, 0, 0
		}
		proto, hl = l3[hl], hl+int(l3[hl+1])*8+8
	}
	switch {
	case hl > min(n, len(l3)):
		pk.refuse(Short)
		return 0, 0, 0
	case proto == protoFragment:
		pk.refuse(IPv6Fragment)
		if hl > 40 || hl+8 > min(n, len(l3)) || be.Uint16(l3[hl+2:])&0xfff8 != 0 || pk.lay.outer != 0 {
			return 0, 0, 0 // the ports are in another packet, or in a flow that can't be compared with P's
		}
		pk.noSum = pk.noSum || l3[hl+3]&1 != 0
		return l3[hl], hl + 8, n
	case proto == 51 || proto == 135 || proto == 139 || proto == 140: // AH, mobility, HIP, shim6
		pk.refuse(IPv6Extension)
		return 0, 0, 0
	}
	return proto, hl, n
}

// tunnel moves what was read of the outer header out of the way of the inner one.
func (pk *pkt) tunnel(b []byte) {
	pk.lay.outer, pk.outer, pk.outerID = pk.lay.l3, pk.l3, pk.id
	x := mix(pk.k2^0x9e3779b97f4a7c15, pk.k4^pk.k5^pk.k6^0xbf58476d1ce4e5b9)
	if pk.bits&bV6 != 0 {
		pk.bits |= bOuterV6
	}
	pk.bits &^= bV6
	pk.k3 = pk.k3&^(shapeV6<<48) | (shapeWide|shapeLong)<<48
	pk.k4, pk.k5, pk.k6, pk.k7 = 0, 0, 0, x<<32
	pk.id = 0
}

// sameLong compares what is in no word of the key: the tunnel header's addresses and type, and IPv6 extension headers,
// of P in a and of the packet in b, each with its own layout (IPv4 options move what is behind them).
func sameLong(a, b []byte, en *entry, pk *pkt) bool {
	if (en.bits^pk.bits)&(bV6|bOuterV6) != 0 || (en.lay.outer != 0) != (pk.lay.outer != 0) {
		return false
	}
	if en.lay.outer != 0 {
		ao, bo := a[en.lay.outer:en.lay.l3], b[pk.lay.outer:pk.lay.l3]
		if pk.bits&bOuterV6 != 0 {
			if !sameIPv6(ao, bo) {
				return false
			}
		} else if ao[9] != bo[9] || !bytes.Equal(ao[12:20], bo[12:20]) {
			return false
		}
	}
	return pk.bits&bV6 == 0 || sameIPv6(a[en.lay.l3:en.lay.l4], b[pk.lay.l3:pk.lay.l4])
}

// sameIPv6 is W3 over two headers with their extension headers.
func sameIPv6(a, b []byte) bool {
	return (be.Uint32(a)^be.Uint32(b))&0xf00fffff == 0 && a[6] == b[6] && bytes.Equal(a[8:], b[8:])
}
