package csum

import (
	"encoding/binary"
	"math/bits"
)

// Sum returns the one's-complement sum of b, folded to 16 bits and not
// complemented, over 16-bit words in the machine's own byte order; an odd last
// byte counts as if a zero byte followed it (RFC 1071 section 1). It returns 0
// only when every byte of b is 0 or b is empty. It never reads outside b.
//
// Over bytes that include a valid checksum field and its pseudo-header the
// result is 0xffff, in either byte order.
func Sum(b []byte) uint16 {
	if len(b) >= minVector && useVector {
		return Fold(sumVector(b))
	}

	// One chain of 64-bit additions with carry.
	var s, c uint64
	whole := b
	for len(b) >= 64 {
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b), 0)
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b[8:]), c)
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b[16:]), c)
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b[24:]), c)
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b[32:]), c)
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b[40:]), c)
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b[48:]), c)
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b[56:]), c)
		s += c
		b = b[64:]
	}
	if len(b) >= 32 {
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b), 0)
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b[8:]), c)
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b[16:]), c)
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b[24:]), c)
		s += c
		b = b[32:]
	}
	if len(b) >= 16 {
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b), 0)
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b[8:]), c)
		s += c
		b = b[16:]
	}
	if len(b) >= 8 {
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b), 0)
		s += c
		b = b[8:]
	}

	// 0..7 bytes are left. Where eight bytes end with them, they are taken from
	// there without a branch for each length: lengths vary from packet to packet.
	var t uint64
	if len(whole) >= 8 {
		t = lastBytes(binary.NativeEndian.Uint64(whole[len(whole)-8:]), len(b))
	} else {
		if len(b) >= 4 {
			t = uint64(binary.NativeEndian.Uint32(b))
			b = b[4:]
		}
		if len(b) >= 2 {
			t += uint64(binary.NativeEndian.Uint16(b))
			b = b[2:]
		}
		if len(b) == 1 {
			t += lastByte(b[0])
		}
	}
	s, c = bits.Add64(s, t, 0)
	return Fold(s + c)
}

// lastBytes keeps the last n bytes (0..7) of the eight loaded as v and moves
// them to the start, with zeros after them.
func lastBytes(v uint64, n int) uint64 {
	drop := uint(64 - 8*n)
	if bigEndian {
		return v << drop
	}
	return v >> drop
}

// lastByte is the native word of an odd last byte and the zero that pads it.
func lastByte(v byte) uint64 {
	if bigEndian {
		return uint64(v) << 8
	}
	return uint64(v)
}

// Header20 is Sum(b[:20]), the sum of an IPv4 header without options: 0xffff
// when its checksum holds (RFC 791 section 3.1). A b shorter than 20 bytes panics.
func Header20(b []byte) uint16 {
	_ = b[19]
	// Five 32-bit words cannot overflow 64 bits, so no carry is kept.
	return Fold(uint64(binary.NativeEndian.Uint32(b)) +
		uint64(binary.NativeEndian.Uint32(b[4:])) +
		uint64(binary.NativeEndian.Uint32(b[8:])) +
		uint64(binary.NativeEndian.Uint32(b[12:])) +
		uint64(binary.NativeEndian.Uint32(b[16:])))
}
