package csum

import "math/bits"

// Fold reduces s to 16 bits with end-around carries (RFC 1071 section 1).
// It returns 0 only for s == 0.
func Fold(s uint64) uint16 {
	// Adding a number to itself with its halves exchanged leaves the folded
	// sum in the upper half: the carry out of the lower half is exactly the
	// end-around carry the upper half needs.
	s += bits.RotateLeft64(s, 32)
	t := uint32(s >> 32)
	t += bits.RotateLeft32(t, 16)
	return uint16(t >> 16)
}

// Add returns the one's-complement sum of two folded sums. It returns 0 only
// when both are 0.
func Add(a, b uint16) uint16 {
	s := uint32(a) + uint32(b)
	return uint16(s + s>>16)
}

// Sub takes b out of the sum a: Sub(Add(a, b), b) is a, up to the two
// representations of zero (0 and 0xffff). Sub(a, a) is 0xffff.
func Sub(a, b uint16) uint16 { return Add(a, ^b) }

// Swap turns the sum of some bytes that start at an even offset into the sum
// of the same bytes at an odd offset, or back (RFC 1071 section 2(B)). To
// append an odd-placed part: Add(sum, Swap(Sum(part))).
func Swap(s uint16) uint16 { return bits.ReverseBytes16(s) }

// Update16 returns the checksum field of a packet after one of the 16-bit
// words it covers went from before to after: HC' = ~(~HC + ~m + m'), RFC 1624
// eqn. 3. All three are in the same byte order, whichever that is: read the
// field and the words alike. Where the new checksum is a zero it is written as
// 0 (unless check and before were both 0xffff and after is 0); a UDP sender
// still has to send that 0 as 0xffff (RFC 768).
func Update16(check, before, after uint16) uint16 {
	return ^Fold(uint64(^check) + uint64(^before) + uint64(after))
}
