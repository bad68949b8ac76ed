package frames

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Checksum returns the Internet checksum (RFC 1071) of data added to sum, an
// unfolded sum of big-endian 16-bit words such as PseudoSum gives.
func Checksum(data []byte, sum uint64) uint16 {
	var carry uint64
	for len(data) >= 8 {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(data), 0)
		sum += carry // cannot overflow: after a carry sum is at most 2^64-2
		data = data[8:]
	}
	var tail [8]byte
	copy(tail[:], data)
	sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(tail[:]), 0)
	return ^fold(sum + carry)
}

// PseudoSum returns the unfolded sum of the pseudo-header of a TCP or UDP
// segment of length bytes (RFC 9293, section 3.1; RFC 8200, section 8.1).
func PseudoSum(src, dst netip.Addr, proto uint8, length int) uint64 {
	sum := uint64(proto) + uint64(length)
	for _, a := range [2]netip.Addr{src, dst} {
		if a.Is4() {
			ip := a.As4()
			sum += uint64(binary.BigEndian.Uint32(ip[:]))
			continue
		}
		ip := a.As16()
		for i := 0; i < 16; i += 4 {
			sum += uint64(binary.BigEndian.Uint32(ip[i:]))
		}
	}
	return sum
}

// fold reduces a sum of 16-bit words to 16 bits with end-around carry.
func fold(sum uint64) uint16 {
	for sum > 0xffff {
		sum = sum>>16&0xffff_ffff_ffff + sum&0xffff
	}
	return uint16(sum)
}
