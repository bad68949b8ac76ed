package csum

import "encoding/binary"

// Sum returns the one's-complement sum of b, folded to 16 bits and not
// complemented, over 16-bit words in the machine's own byte order; an odd last
// byte counts as if a zero byte followed it (RFC 1071 section 1). It returns 0
// only when every byte of b is 0 or b is empty. It never reads outside b.
//
// Over bytes that include a valid checksum field and its pseudo-header the
// result is 0xffff, in either byte order.
func Sum(b []byte) uint16 { return sumGeneric(b) }

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
