package gro

import (
	"math/bits"

	"xrx/internal/csum"
	"xrx/umem"
)

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
	if i := e.heads[pk.hash&e.mask]; i != 0 && e.goesOn6(&e.ents[i], h, pk, b, l4) {
		return settled
	}
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
