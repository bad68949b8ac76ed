package steer

import "encoding/binary"

// Hash is the flow hash of a packet, from its Ethernet header on: the symmetric one of the XDP program with this seed
// (bpf/xrx_parse.h), for packets that came without the program's metadata. So a flow of which some packets have it and
// some have not is still one flow. Addresses, protocol and ports of TCP, UDP and SCTP; of a fragment the addresses; of
// anything else both MACs and the EtherType. It is never 0, and a test holds it to the program.
func Hash(packet []byte, seed uint64) uint32 {
	if len(packet) < 14 {
		return 1
	}
	typ := binary.BigEndian.Uint16(packet[12:])
	rest := packet[14:]
	for range 2 {
		if typ != 0x8100 && typ != 0x88a8 || len(rest) < 4 {
			break
		}
		typ = binary.BigEndian.Uint16(rest[2:])
		rest = rest[4:]
	}
	switch {
	case typ == 0x0800 && len(rest) >= 20 && rest[0]>>4 == 4 && rest[0]&15 >= 5:
		return hash4(rest, seed)
	case typ == 0x86dd && len(rest) >= 40 && rest[0]>>4 == 6:
		return hash6(rest, len(packet)-len(rest), seed)
	}
	return mix(word48(packet[6:12]), word48(packet[:6]), uint64(typ>>8|typ<<8), seed)
}

func hash4(ip []byte, seed uint64) uint32 {
	proto := uint64(ip[9])
	var src, dst uint64
	if binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 { // a fragment
		proto = 0
	} else {
		src, dst = ports(ip[9], ip[min(len(ip), int(ip[0]&15)*4):])
	}
	return mix(uint64(binary.LittleEndian.Uint32(ip[12:]))|src<<32, uint64(binary.LittleEndian.Uint32(ip[16:]))|dst<<32, proto, seed)
}

// hash6 hashes an IPv6 packet whose header is at off: what lies beyond 255 bytes the program does not look at.
func hash6(ip []byte, off int, seed uint64) uint32 {
	proto, l4, known, fragment := headers6(ip, off)
	var src, dst uint64
	switch {
	case fragment:
		proto = 0
	case known:
		src, dst = ports(proto, ip[min(len(ip), l4):])
	}
	return mix(endpoint6(ip[8:], src, seed), endpoint6(ip[24:], dst, seed), uint64(proto), seed)
}

// headers6 walks at most eight extension headers (RFC 8200, section 4). known is false where the layer 4 header is not in
// this packet or out of reach.
func headers6(ip []byte, off int) (proto uint8, at int, known, fragment bool) {
	proto, at = ip[6], 40
	for range 8 {
		if !extension(proto) {
			break
		}
		if len(ip) < at+8 {
			return proto, at, false, fragment
		}
		h := ip[at:]
		length := 8
		if proto == 44 {
			field := binary.BigEndian.Uint16(h[2:])
			fragment = fragment || field&0xfff9 != 0 // offset 0 and no more to come: whole, RFC 6946
			if field>>3 != 0 {
				return h[0], at, false, fragment
			}
		} else {
			length += 8 * int(h[1])
		}
		proto = h[0]
		at += length
		if off+at > 255 {
			return proto, at, false, fragment
		}
	}
	return proto, at, !extension(proto) && proto != 59, fragment
}

// extension reports whether an IPv6 next header is one of hop-by-hop, routing, fragment, destination options.
func extension(p uint8) bool { return p == 0 || p == 43 || p == 44 || p == 60 }

// ports are those of a protocol that has any, as they lie in memory.
func ports(proto uint8, l4 []byte) (src, dst uint64) {
	if proto != 6 && proto != 17 && proto != 132 || len(l4) < 4 {
		return 0, 0
	}
	return uint64(binary.LittleEndian.Uint16(l4)), uint64(binary.LittleEndian.Uint16(l4[2:]))
}

// mix is flow_hash of bpf/xrx_parse.h, symmetric.
func mix(src, dst, proto, seed uint64) uint32 {
	src, dst = min(src, dst), max(src, dst)
	h := (src ^ seed ^ proto<<48) * 0x9e3779b97f4a7c15
	h = (h ^ h>>32 ^ dst) * 0x6a09e667f3bcc909
	h = (h ^ h>>32) * 0xbb67ae8584caa73b
	return max(uint32(h>>32), 1)
}

// endpoint6 is endpoint6 of bpf/xrx_parse.h: an address and a port in 64 bits.
func endpoint6(addr []byte, port, seed uint64) uint64 {
	h := (binary.LittleEndian.Uint64(addr) ^ seed) * 0x3c6ef372fe94f82b
	h = (h ^ h>>32 ^ binary.LittleEndian.Uint64(addr[8:])) * 0x9e3779b97f4a7c15
	return h ^ h>>32 ^ port<<32
}

func word48(b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint16(b[4:]))<<32
}
