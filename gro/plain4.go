package gro

import (
	"math/bits"

	"xrx/internal/csum"
	"xrx/umem"
)

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
