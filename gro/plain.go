package gro

import (
	"math/bits"

	"xrx/umem"
)

// Headers are read here as little-endian words, each byte once, and fields are taken out of the words: the compiler
// makes one load of such a word only if none of its bytes is read a second time. On a big-endian machine the words and
// their sums are swapped, and native puts that right.
const (
	wireIPv4 = 0x0008 // EtherTypes in such a word
	wireIPv6 = 0xdd86
	wireVLAN = 0x0081

	// The first 8 bytes of an IPv4 header that is plain: version and length 0x45, no fragment, reserved bit 0.
	wirePlainMask = 0xff_bf_00_00_00_00_00_ff
	wirePlain     = 0x45
)

// pseudoSum is what the pseudo-header has besides addresses: protocol and length, as a sum of little-endian words.
func pseudoSum(proto uint8, n int) uint64 {
	return uint64(proto)<<8 + uint64(bits.ReverseBytes16(uint16(n)))
}

// halves is the sum of the two halves of x.
func halves(x uint64) uint64 { return x>>32 + x&0xffffffff }

// outcome of the fast path.
type outcome uint8

const (
	notPlain outcome = iota // parse has to look at the packet
	parsed                  // pkt is what parse would have made of it
	settled                 // merged or delivered
)

// plain is parse for what nearly all packets are: TCP or UDP over an IPv4 header without options or an IPv6 header
// without extensions, at most one 802.1Q tag, all in one buffer, nothing wrong with lengths and checksums. It reads
// every field once and clears none. Whatever it does not like it leaves to parse, which starts from the beginning;
// what it accepts, parse would have read alike (TestPlainPacketsAreParsedAlikeOnBothPaths).
func (e *Engine) plain(h *umem.Header, pk *pkt) outcome {
	b := h.Bytes()
	if len(b) < ethLen+20+20 || uint32(len(b)) != h.Total {
		return notPlain
	}
	if m := h.Before(6); e.off >= 0 && m[5] != 0 && umem.MetaFlags(m[0])&umem.VLANHW != 0 {
		return notPlain // perhaps: parse asks the metadata itself
	}
	switch le.Uint16(b[12:]) {
	case wireIPv4:
		k2, k3 := le.Uint64(b[26:]), uint64(le.Uint32(b[34:]))|uint64(b[23])<<56
		hash := e.hash4(k2, k3)
		if i := e.heads[hash&e.mask]; i != 0 && e.goesOn(&e.ents[i], h, b) {
			return settled
		}
		return e.plain4(h, pk, b, ethLen, 0, hash)
	case wireIPv6:
		return e.plain6(h, pk, b, ethLen, 0)
	case wireVLAN:
		tag := uint64(be.Uint16(b[14:]))<<32 | shapeVLAN<<48
		switch le.Uint16(b[16:]) {
		case wireIPv4:
			return e.plain4(h, pk, b, ethLen+4, tag, e.hash4(le.Uint64(b[30:]), tag|uint64(le.Uint32(b[38:]))|uint64(b[27])<<56))
		case wireIPv6:
			return e.plain6(h, pk, b, ethLen+4, tag)
		}
	}
	return notPlain
}
