package bpf_test

import (
	"encoding/binary"
	"slices"

	"xrx/umem"
)

// outcome is what the program should make of a packet.
type outcome struct {
	meta     umem.Meta
	cut      bool // counted as too_short
	unparsed bool
	partial  bool // counted as truncated
}

// expect is the program's parser written a second time, for reading and not for speed: it slices where the program counts offsets.
func expect(packet []byte, symmetric bool, seed uint64) (o outcome) {
	o.meta.Kind = 1
	defer func() {
		if symmetric && o.meta.Hash != 0 {
			o.meta.Flags |= umem.HashSym
		}
	}()
	if len(packet) < 14 {
		o.cut = true
		return o
	}
	hash := func(src, dst uint64, proto uint64) uint32 { return flowHash(src, dst, proto, symmetric, seed) }
	typ := binary.BigEndian.Uint16(packet[12:])
	rest := packet[14:]
	for tags := 0; tags < 2 && (typ == 0x8100 || typ == 0x88a8); tags++ {
		if len(rest) < 4 {
			o.cut = true
			break
		}
		if tags == 0 {
			o.meta.VLANTCI = binary.BigEndian.Uint16(rest)
			o.meta.Flags |= umem.VLANInBand
			if typ == 0x88a8 {
				o.meta.Flags |= umem.VLANAD
			}
		}
		typ = binary.BigEndian.Uint16(rest[2:])
		rest = rest[4:]
	}

	var addrs [2][]byte
	var known bool // the L4 header's place
	switch typ {
	case 0x0800:
		switch {
		case len(rest) < 20:
			o.cut = true
		case rest[0]>>4 != 4 || rest[0]&15 < 5:
			o.unparsed = true
		default:
			o.partial = int(binary.BigEndian.Uint16(rest[2:])) > len(rest)
			o.meta.L3, o.meta.L3Off, o.meta.L4Proto = 4, uint8(len(packet)-len(rest)), rest[9]
			addrs = [2][]byte{rest[12:16], rest[16:20]}
			frag := binary.BigEndian.Uint16(rest[6:])
			if frag&0x3fff != 0 {
				o.meta.Flags |= umem.Frag
			}
			known = frag&0x1fff == 0
			rest = rest[min(len(rest), int(rest[0]&15)*4):]
		}
	case 0x86dd:
		switch {
		case len(rest) < 40:
			o.cut = true
		case rest[0]>>4 != 6:
			o.unparsed = true
		default:
			o.partial = 40+int(binary.BigEndian.Uint16(rest[4:])) > len(rest)
			o.meta.L3, o.meta.L3Off = 6, uint8(len(packet)-len(rest))
			addrs = [2][]byte{rest[8:24], rest[24:40]}
			rest, known = skipHeaders(&o, rest[6], rest[40:], len(packet))
		}
	default:
		o.unparsed = !o.cut
	}

	if o.meta.L3 == 0 {
		o.meta.Hash = hash(word48(packet[6:12]), word48(packet[:6]), uint64(binary.LittleEndian.Uint16([]byte{byte(typ >> 8), byte(typ)})))
		return o
	}
	var ports []byte
	hasPorts := slices.Contains([]uint8{6, 17, 132}, o.meta.L4Proto)
	if known {
		if len(rest) >= 4 {
			o.meta.L4Off = uint8(len(packet) - len(rest))
			if hasPorts {
				ports = rest[:4]
			}
		} else if hasPorts {
			o.cut = true
		}
	}
	hashed := uint64(o.meta.L4Proto)
	if o.meta.Flags&umem.Frag != 0 {
		ports, hashed = nil, 0
	}
	if ports != nil {
		o.meta.Flags |= umem.HashL4
	} else {
		ports = make([]byte, 4)
	}
	sport, dport := uint64(binary.LittleEndian.Uint16(ports)), uint64(binary.LittleEndian.Uint16(ports[2:]))
	if o.meta.L3 == 4 {
		o.meta.Hash = hash(uint64(binary.LittleEndian.Uint32(addrs[0]))|sport<<32, uint64(binary.LittleEndian.Uint32(addrs[1]))|dport<<32, hashed)
	} else {
		o.meta.Hash = hash(endpoint6(addrs[0], sport, seed), endpoint6(addrs[1], dport, seed), hashed)
	}
	return o
}

// skipHeaders walks IPv6 extension headers; known is false where the L4 header isn't in this packet or can't be told.
func skipHeaders(o *outcome, next uint8, rest []byte, size int) (_ []byte, known bool) {
	isExt := func(p uint8) bool { return slices.Contains([]uint8{0, 43, 44, 60}, p) }
	for range 8 {
		if !isExt(next) {
			break
		}
		o.meta.L4Proto = next
		if len(rest) < 8 {
			o.cut = true
			return rest, false
		}
		length := 8
		if next == 44 {
			field := binary.BigEndian.Uint16(rest[2:])
			if field&0xfff9 != 0 {
				o.meta.Flags |= umem.Frag
			}
			if field>>3 != 0 {
				o.meta.L4Proto = rest[0]
				return rest, false
			}
		} else {
			length += 8 * int(rest[1])
		}
		next = rest[0]
		o.meta.L4Proto = next
		if size-len(rest)+length > 255 {
			return rest, false
		}
		rest = rest[min(len(rest), length):]
	}
	o.meta.L4Proto = next
	return rest, !isExt(next) && next != 59
}

const (
	k1 = 0x9e3779b97f4a7c15
	k2 = 0x6a09e667f3bcc909
	k3 = 0xbb67ae8584caa73b
	k4 = 0x3c6ef372fe94f82b
)

func flowHash(src, dst, proto uint64, symmetric bool, seed uint64) uint32 {
	if symmetric {
		src, dst = min(src, dst), max(src, dst)
	}
	h := (src ^ seed ^ proto<<48) * k1
	h = (h ^ h>>32 ^ dst) * k2
	h = (h ^ h>>32) * k3
	return max(uint32(h>>32), 1)
}

func endpoint6(addr []byte, port, seed uint64) uint64 {
	h := (binary.LittleEndian.Uint64(addr) ^ seed) * k4
	h = (h ^ h>>32 ^ binary.LittleEndian.Uint64(addr[8:])) * k1
	return h ^ h>>32 ^ port<<32
}

func word48(b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint16(b[4:]))<<32
}
