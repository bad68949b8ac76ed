package gro

import (
	"math/bits"

	"xrx/internal/csum"
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
	if m := h.Before(6); m[5] != 0 && umem.MetaFlags(m[0])&umem.VLANHW != 0 {
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

// plain4 goes on in an IPv4 header at off; k3 is the key's word so far, hash that of the flow if it is plain.
func (e *Engine) plain4(h *umem.Header, pk *pkt, b []byte, off int, k3 uint64, hash uint32) outcome {
	l3 := b[off:]
	if len(l3) < 40 || len(l3) > e.mtu {
		return notPlain
	}
	// First what the sum of the payload takes, and that sum: what is read after the call needs no place on the stack.
	hl := 8
	if l3[9] == protoTCP {
		if hl = int(l3[32] >> 4 * 4); hl != 20 && hl != 32 {
			return e.plainLong(h, pk, b, off, k3, hash)
		}
	}
	if 20+hl > len(l3) {
		return notPlain
	}
	sum, verify := uint16(0), e.cfg.Verify
	if verify == VerifyMerge && l3[9] == protoUDP {
		verify = e.verifyUDP(be.Uint16(l3[22:]))
	}
	if verify != VerifyOff {
		sum = csum.Sum(l3[20+hl:])
	}

	w0, w1, k2 := le.Uint64(l3), uint64(le.Uint32(l3[8:])), le.Uint64(l3[12:])
	s := halves(k2) // source and destination, for both checksums
	if w0&wirePlainMask != wirePlain || int(bits.ReverseBytes16(uint16(w0>>16))) != len(l3) ||
		csum.Fold(s+halves(w0)+w1) != 0xffff {
		return notPlain
	}
	l4, proto := l3[20:], uint8(w1>>8)
	t0 := le.Uint64(l4) // ports, then what TCP and UDP have
	k3 |= t0&0xffffffff | uint64(proto)<<56
	s += pseudoSum(proto, len(l4))
	seq, ack, word, o0, o1 := uint32(0), uint32(0), uint32(0), uint64(0), uint64(0)
	bit := uint16(0)
	if proto == protoTCP {
		t1 := le.Uint64(l4[8:])
		if hl == 32 {
			o0, o1 = le.Uint64(l4[20:]), uint64(le.Uint32(l4[28:]))
		}
		seq, ack = bits.ReverseBytes32(uint32(t0>>32)), bits.ReverseBytes32(uint32(t1))
		word = bits.ReverseBytes32(uint32(t1 >> 32))
		a, c := bits.Add64(t0, t1, 0)
		a, c = bits.Add64(a, o0, c)
		a, c = bits.Add64(a, s+o1+uint64(le.Uint32(l4[16:])), c)
		s = a + c
	} else if proto == protoUDP {
		bit = bUDP
		if int(bits.ReverseBytes16(uint16(t0>>32))) != len(l4) || t0>>48 == 0 {
			return notPlain
		}
		s += halves(t0)
	} else {
		return notPlain
	}
	head := native(csum.Fold(s))
	if verify == VerifyOff {
		sum = ^head
	} else if csum.Add(head, sum) != 0xffff {
		return notPlain
	} else {
		h.Csum = umem.CsumOK
	}
	if bit != 0 {
		if port := bits.ReverseBytes16(uint16(t0 >> 16)); e.udpPorts[port/64]>>(port%64)&1 == 0 {
			e.normal(h, e.unoptedPort(port))
			return settled
		}
	}
	l3w := uint32(w0)>>8&0xff<<16 | uint32(w1)&0xff<<8 | uint32(w0>>48)&0xff
	id := bits.ReverseBytes16(uint16(w0 >> 32))
	k0, k1 := le.Uint64(b), ethTail(b)
	pay := uint32(len(l4) - hl)
	pk.k0, pk.k1, pk.k2, pk.k3 = k0, k1, k2, k3
	pk.opt[0], pk.opt[1] = o0, o1
	pk.hash, pk.seq, pk.ack, pk.word = hash, seq, ack, word
	pk.l3, pk.id, pk.pay, pk.room = l3w, id, pay, uint32(len(b)-ethLen)
	pk.sum, pk.bits = sum, bit
	pk.lay = layout{0, uint8(off), uint8(off + 20), uint8(off + 20 + hl)}
	pk.verdict, pk.keyed, pk.final = tcpVerdict(word, pay), true, word&(tcpPSH|tcpFIN) != 0
	return parsed
}

// verifyUDP is what VerifyMerge means for a datagram to port.
func (e *Engine) verifyUDP(port uint16) Verify {
	if e.udpPorts[port/64]>>(port%64)&1 == 0 {
		return VerifyOff
	}
	return VerifyMerge
}

// tcpVerdict is T12: what can never be merged, whatever P is. With UDP's word, 0, and payload it is None.
func tcpVerdict(word, pay uint32) Reason {
	switch {
	case pay == 0:
		return TCPEmpty
	case word&(tcpSYN|tcpRST|tcpURG) != 0:
		return TCPFlags
	}
	return None
}

// plainLong is the rest of plain4 for TCP with options of an unusual length.
func (e *Engine) plainLong(h *umem.Header, pk *pkt, b []byte, off int, k3 uint64, hash uint32) outcome {
	l3 := b[off:]
	pk.k0, pk.k1, pk.k2, pk.k3 = le.Uint64(b), ethTail(b), le.Uint64(l3[12:]), k3
	pk.l3 = uint32(l3[1])<<16 | uint32(l3[8])<<8 | uint32(l3[6])
	pk.id, pk.bits, pk.room = be.Uint16(l3[4:]), 0, uint32(len(b)-ethLen)
	pk.lay = layout{0, uint8(off), uint8(off + 20), 0}
	if w0 := le.Uint64(l3); w0&wirePlainMask != wirePlain || int(be.Uint16(l3[2:])) != len(l3) || csum.Header20(l3) != 0xffff {
		return notPlain
	}
	pk.k3 |= uint64(le.Uint32(l3[20:])) | protoTCP<<56
	pk.hash = hash
	return e.plainTCP(h, pk, l3[20:], csum.PseudoIPv4(l3[12:16], l3[16:20], protoTCP, len(l3)-20))
}

// plain6 goes on in an IPv6 header at off; k3 is the key's word so far.
func (e *Engine) plain6(h *umem.Header, pk *pkt, b []byte, off int, k3 uint64) outcome {
	l3 := b[off:]
	if len(l3) < 60 || len(l3) > e.mtu {
		return notPlain
	}
	w0 := le.Uint64(l3)
	word := bits.ReverseBytes32(uint32(w0))
	if word>>28 != 6 || int(bits.ReverseBytes16(uint16(w0>>32))) != len(l3)-40 {
		return notPlain
	}
	pk.k0, pk.k1 = le.Uint64(b), ethTail(b)
	pk.k2, pk.k4 = le.Uint64(l3[8:]), le.Uint64(l3[16:])
	pk.k5, pk.k6 = le.Uint64(l3[24:]), le.Uint64(l3[32:])
	pk.k7, pk.k8 = uint64(word&0xfffff), 0
	pk.l3 = word>>20&0xff<<16 | uint32(w0>>56)<<8
	pk.id, pk.bits, pk.room = 0, bV6, uint32(len(b)-ethLen)
	pk.lay = layout{0, uint8(off), uint8(off + 40), 0}
	l4, proto := l3[40:], uint8(w0>>48)
	pk.k3 = k3 | uint64(le.Uint32(l4)) | (shapeV6|shapeWide)<<48 | uint64(proto)<<56
	pk.hash = e.hashWide(pk)
	pseudo := native(csum.Fold(halves(pk.k2) + halves(pk.k4) + halves(pk.k5) + halves(pk.k6) + pseudoSum(proto, len(l4))))
	switch proto {
	case protoTCP:
		return e.plainTCP(h, pk, l4, pseudo)
	case protoUDP:
		return e.plainUDP(h, pk, l4, pseudo)
	}
	return notPlain
}

// plainTCP goes on in the TCP header; len(l4) >= 20.
func (e *Engine) plainTCP(h *umem.Header, pk *pkt, l4 []byte, pseudo uint16) outcome {
	word := be.Uint32(l4[12:])
	hl := int(word >> 28 * 4)
	if hl < 20 || hl > len(l4) {
		return notPlain
	}
	pk.opt[0], pk.opt[1] = 0, 0
	if hl > 20 {
		pk.tcpOptions(l4[20:hl])
	}
	if !e.plainSum(h, pk, csum.Add(pseudo, csum.Sum(l4[:hl])), l4[hl:]) {
		return notPlain
	}
	pk.lay.pay = pk.lay.l4 + uint8(hl)
	pk.seq, pk.ack, pk.word = be.Uint32(l4[4:]), be.Uint32(l4[8:]), word
	pk.pay = uint32(len(l4) - hl)
	pk.verdict, pk.keyed, pk.final = tcpVerdict(word, pk.pay), true, word&(tcpPSH|tcpFIN) != 0
	return parsed
}

// plainUDP goes on in the UDP header; len(l4) >= 20.
func (e *Engine) plainUDP(h *umem.Header, pk *pkt, l4 []byte, pseudo uint16) outcome {
	port := be.Uint16(l4[2:])
	if int(be.Uint16(l4[4:])) != len(l4) || ne.Uint16(l4[6:]) == 0 {
		return notPlain
	}
	opted := e.udpPorts[port/64]>>(port%64)&1 != 0
	if opted || e.cfg.Verify == VerifyAll {
		if !e.plainSum(h, pk, csum.Add(pseudo, csum.Sum(l4[:8])), l4[8:]) {
			return notPlain
		}
	}
	if !opted {
		e.normal(h, e.unoptedPort(port))
		return settled
	}
	pk.bits |= bUDP
	pk.lay.pay = pk.lay.l4 + 8
	pk.pay = uint32(len(l4) - 8)
	pk.seq, pk.ack, pk.word, pk.opt[0], pk.opt[1] = 0, 0, 0, 0, 0
	pk.verdict, pk.keyed, pk.final = None, true, false
	return parsed
}

// plainSum verifies the checksum: head is the sum of pseudo-header and L4 header.
func (e *Engine) plainSum(h *umem.Header, pk *pkt, head uint16, payload []byte) bool {
	if e.cfg.Verify == VerifyOff {
		pk.sum = ^head
		return true
	}
	pk.sum = csum.Sum(payload)
	if csum.Add(head, pk.sum) != 0xffff {
		return false
	}
	h.Csum = umem.CsumOK
	return true
}
