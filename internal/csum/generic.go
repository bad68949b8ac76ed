package csum

import (
	"encoding/binary"
	"math/bits"
)

// sumGeneric is Sum in Go: one chain of 64-bit additions with carry.
func sumGeneric(b []byte) uint16 {
	var s, c uint64
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
	for len(b) >= 8 {
		s, c = bits.Add64(s, binary.NativeEndian.Uint64(b), 0)
		s += c
		b = b[8:]
	}
	// At most 7 bytes are left. Their sum is below 2^33.
	var t uint64
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
	s, c = bits.Add64(s, t, 0)
	return Fold(s + c)
}

// lastByte is the native word of an odd last byte and the zero that pads it.
func lastByte(v byte) uint64 {
	if bigEndian {
		return uint64(v) << 8
	}
	return uint64(v)
}
