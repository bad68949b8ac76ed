package gro

import (
	"math/bits"

	"xrx/internal/csum"
	"xrx/umem"
)

// Words of the Ethernet and IP headers in the byte order in which they are loaded.
var (
	wireIPv4 = ne.Uint16([]byte{0x08, 0x00})
	wireIPv6 = ne.Uint16([]byte{0x86, 0xdd})
	wireVLAN = ne.Uint16([]byte{0x81, 0x00})
)

// plain is parse for what nearly all packets are: TCP or UDP over an IPv4 header without options or an IPv6 header
// without extensions, at most one 802.1Q tag, all in one buffer, nothing wrong with lengths and checksums. It reads
// every field once and clears none. Whatever it does not like it leaves to parse, which starts from the beginning;
// what it accepts, parse would have read alike (TestPlainPacketsAreParsedAlikeOnBothPaths).
func (e *Engine) plain(h *umem.Header, pk *pkt) bool {
	b := h.Bytes()
	if len(b) < ethLen+20+20 || uint32(len(b)) != h.Total {
		return false
	}
	if m := h.Before(6); m[5] != 0 && umem.MetaFlags(m[0])&umem.VLANHW != 0 {
		return false // perhaps: parse asks the metadata itself
	}
	pk.room = uint32(len(b) - ethLen)
	pk.k0, pk.k1 = ne.Uint64(b), ne.Uint64(b[6:])
	etype, off := ne.Uint16(b[12:]), ethLen
	k3 := uint64(0)
	if etype == wireVLAN {
		etype, off = ne.Uint16(b[16:]), ethLen+4
		k3 = uint64(be.Uint16(b[14:]))<<32 | shapeVLAN<<48
	}
	l3 := b[off:]
	var l4 []byte
	var proto uint8
	var pseudo uint16
	switch etype {
	case wireIPv4:
		if len(l3) < 40 || len(l3) > 0xffff || ne.Uint16(l3)&wireVersion != wireVersion4 || ne.Uint16(l3[6:])&wireNotDF != 0 ||
			int(be.Uint16(l3[2:])) != len(l3) || csum.Header20(l3) != 0xffff {
			return false
		}
		proto, l4 = l3[9], l3[20:]
		pk.k2 = ne.Uint64(l3[12:])
		pk.l3 = uint32(l3[1])<<16 | uint32(l3[8])<<8 | uint32(l3[6])
		pk.id = be.Uint16(l3[4:])
		pk.bits = 0
		pk.lay = layout{0, uint8(off), uint8(off + 20), uint8(off + 20 + 8)}
		pseudo = csum.PseudoIPv4(l3[12:16], l3[16:20], proto, len(l4))
	case wireIPv6:
		word := be.Uint32(l3)
		if len(l3) < 60 || word>>28 != 6 || int(be.Uint16(l3[4:])) != len(l3)-40 {
			return false
		}
		proto, l4 = l3[6], l3[40:]
		pk.k2, pk.k4 = ne.Uint64(l3[8:]), ne.Uint64(l3[16:])
		pk.k5, pk.k6 = ne.Uint64(l3[24:]), ne.Uint64(l3[32:])
		pk.k7, pk.k8 = uint64(word&0xfffff), 0
		pk.l3 = word>>20&0xff<<16 | uint32(l3[7])<<8
		pk.bits, pk.id = bV6, 0
		k3 |= (shapeV6 | shapeWide) << 48
		pk.lay = layout{0, uint8(off), uint8(off + 40), uint8(off + 40 + 8)}
		pseudo = csum.PseudoIPv6(l3[8:24], l3[24:40], proto, len(l4))
	default:
		return false
	}
	if e.cfg.MTU != 0 && len(l3) > e.cfg.MTU {
		return false
	}
	pk.verdict, pk.keyed, pk.final = None, true, false
	if proto == protoTCP {
		pk.k3 = k3 | uint64(ne.Uint32(l4)) | protoTCP<<56
		return e.plainTCP(h, pk, l4, pseudo)
	}
	if proto == protoUDP {
		pk.k3 = k3 | uint64(ne.Uint32(l4)) | protoUDP<<56
		return e.plainUDP(h, pk, l4, pseudo)
	}
	return false
}

var (
	wireVersion  = ne.Uint16([]byte{0xff, 0})
	wireVersion4 = ne.Uint16([]byte{0x45, 0})
	wireNotDF    = ne.Uint16([]byte{0xbf, 0xff})
)

// plainTCP goes on in the TCP header; len(l4) >= 20.
func (e *Engine) plainTCP(h *umem.Header, pk *pkt, l4 []byte, pseudo uint16) bool {
	word := be.Uint32(l4[12:])
	hl := int(word >> 28 * 4)
	if hl < 20 || hl > len(l4) {
		return false
	}
	s := uint64(pseudo) + uint64(ne.Uint32(l4)) + uint64(ne.Uint32(l4[4:])) + uint64(ne.Uint32(l4[8:])) +
		uint64(ne.Uint32(l4[12:])) + uint64(ne.Uint32(l4[16:]))
	pk.opt[0], pk.opt[1] = 0, 0
	if hl == 32 {
		pk.opt[0], pk.opt[1] = ne.Uint64(l4[20:]), uint64(ne.Uint32(l4[28:]))
		s += pk.opt[0]>>32 + pk.opt[0]&0xffffffff + pk.opt[1]
	} else if hl > 20 {
		pk.tcpOptions(l4[20:hl])
		s += uint64(csum.Sum(l4[20:hl]))
	}
	if !e.plainSum(h, pk, s, l4[hl:]) {
		return false
	}
	pk.lay.pay = pk.lay.l4 + uint8(hl)
	pk.seq, pk.ack, pk.word = be.Uint32(l4[4:]), be.Uint32(l4[8:]), word
	pk.pay = uint32(len(l4) - hl)
	pk.final = word&(tcpPSH|tcpFIN) != 0
	e.seal(pk)
	if pk.pay == 0 {
		pk.verdict = TCPEmpty
	} else if word&(tcpSYN|tcpRST|tcpURG) != 0 {
		pk.verdict = TCPFlags
	}
	return true
}

// plainUDP goes on in the UDP header; len(l4) >= 20.
func (e *Engine) plainUDP(h *umem.Header, pk *pkt, l4 []byte, pseudo uint16) bool {
	port := be.Uint16(l4[2:])
	opted := e.udpPorts[port/64]>>(port%64)&1 != 0
	if int(be.Uint16(l4[4:])) != len(l4) || ne.Uint16(l4[6:]) == 0 || port == portVXLAN || port == portGeneve {
		return false
	}
	pk.bits |= bUDP
	pk.pay = uint32(len(l4) - 8)
	if !opted {
		pk.verdict, pk.keyed = UDPOff, false
		if e.cfg.Verify != VerifyAll {
			return true
		}
	}
	if !e.plainSum(h, pk, uint64(pseudo)+uint64(ne.Uint32(l4))+uint64(ne.Uint32(l4[4:])), l4[8:]) {
		return false
	}
	pk.seq, pk.ack, pk.word, pk.opt[0], pk.opt[1] = 0, 0, 0, 0, 0
	if opted {
		e.seal(pk)
	}
	return true
}

// plainSum verifies the checksum: s is the sum of pseudo-header and L4 header.
func (e *Engine) plainSum(h *umem.Header, pk *pkt, s uint64, payload []byte) bool {
	head := csum.Fold(s)
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

// mix is a keyed hash of two words to 64 bits (the folded multiplication of wyhash).
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
