package csum

import (
	"encoding/binary"
	"math/bits"
)

// PseudoIPv4 returns the native-order sum of the IPv4 pseudo-header of RFC 793
// section 3.1 and RFC 768: src and dst (their first 4 bytes; shorter panics), proto,
// and l4len, the bytes of the L4 header and its payload (0..65535).
func PseudoIPv4(src, dst []byte, proto uint8, l4len int) uint16 {
	s := uint64(binary.NativeEndian.Uint32(src)) + uint64(binary.NativeEndian.Uint32(dst))
	return Fold(s + trailer(proto, uint32(l4len)))
}

// PseudoIPv6 returns the native-order sum of the IPv6 pseudo-header of RFC 8200
// section 8.1: src and dst (their first 16 bytes; shorter panics), the last next-header
// value, and l4len, the bytes of the L4 header and its payload (a 32-bit field).
func PseudoIPv6(src, dst []byte, proto uint8, l4len int) uint16 {
	_, _ = src[15], dst[15]
	s, c := bits.Add64(binary.NativeEndian.Uint64(src), binary.NativeEndian.Uint64(src[8:]), 0)
	s, c = bits.Add64(s, binary.NativeEndian.Uint64(dst), c)
	s, c = bits.Add64(s, binary.NativeEndian.Uint64(dst[8:]), c)
	s, c = bits.Add64(s, trailer(proto, uint32(l4len)), c)
	return Fold(s + c)
}

// trailer is the zero, protocol and length part of both pseudo-headers as an
// unfolded native-order sum. It relies on 2^16 being 1 modulo 65535: where in
// the 32-bit length the two halves stand makes no difference.
func trailer(proto uint8, l4len uint32) uint64 {
	if bigEndian {
		return uint64(l4len) + uint64(proto)
	}
	return uint64(bits.ReverseBytes32(l4len)) + uint64(proto)<<8
}
