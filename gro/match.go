package gro

const dontFragment = 0x40 // in pkt.l3

// match returns None if the packet continues P, which is of its flow, else the first rule that says no.
func (e *Engine) match(en *entry, pk *pkt) Reason {
	if en.l3 != pk.l3 {
		return l3Reason(en.l3^pk.l3, pk.bits)
	}
	if pk.lay.outer != 0 {
		if en.outer != pk.outer {
			return OuterHeader
		}
		if r := e.matchOuterID(en, pk); r != None {
			return r
		}
	}
	if pk.bits&bV6 == 0 && !matchID(en, pk.id-en.id, bFixed) {
		return IPv4ID
	}
	if (en.bits^pk.bits)&bPartial != 0 {
		return ChecksumKind
	}
	if pk.bits&bUDP != 0 {
		return e.matchUDP(en, pk)
	}
	return e.matchTCP(en, pk)
}

// l3Reason names the field that differs (V7-V9, W4).
func l3Reason(diff uint32, bits uint16) Reason {
	switch {
	case bits&bV6 != 0 && diff>>16 != 0:
		return IPv6Class
	case bits&bV6 != 0:
		return IPv6Hop
	case diff&0xff00 != 0:
		return IPv4TTL
	case diff>>16 != 0:
		return IPv4TOS
	}
	return IPv4DF
}

// matchID is V10: d is the distance of the packet's IP ID to that of P's first packet. fixed is the bit of en.bits that
// says that the ID may stay; the second packet decides whether it does. In 6.9 the bit starts as the first packet's DF,
// from 6.18 on as set. It is only meaningful when the packet is merged, and if it is not, P is completed: so it may be
// cleared before the other rules were asked.
func matchID(en *entry, d uint16, fixed uint16) bool {
	if d == 0 && en.bits&fixed != 0 {
		return true
	}
	if d != en.count {
		return false
	}
	if en.bits&fixed != 0 {
		if en.count != 1 { // fixed since the second packet: d == count can't be a coincidence of both
			return false
		}
		en.bits &^= fixed
	}
	return true
}

// matchOuterID is E6: with DF, kernels before 6.18 ignore the outer ID; without, it has to count on. From 6.18 on it is
// checked like the inner one.
func (e *Engine) matchOuterID(en *entry, pk *pkt) Reason {
	if pk.bits&bOuterV6 != 0 {
		return None
	}
	d := pk.outerID - en.outerID
	if e.cfg.Profile == Linux69 {
		if pk.outer&dontFragment != 0 || d == en.count {
			return None
		}
		return OuterID
	}
	if !matchID(en, d, bOuterFixed) {
		return OuterID
	}
	return None
}

// matchTCP is T3 to T9, and L1.
func (e *Engine) matchTCP(en *entry, pk *pkt) Reason {
	same, never := e.tcpSame, e.tcpNever
	if en.bits&bList != 0 { // T15
		same = ^uint32(0)
	}
	if diff := (en.word^pk.word)&same | pk.word&never; diff != 0 {
		switch {
		case diff&tcpWindow != 0:
			return TCPWindow
		case diff&^tcpCWR == 0:
			return TCPCWR
		}
		return TCPFlagChange
	}
	switch {
	case en.ack != pk.ack:
		return TCPAck
	case !sameOptions(en, pk):
		return TCPOptions
	case pk.pay > uint32(en.gso):
		return TCPLonger
	case en.seq != pk.seq:
		return TCPSeq
	}
	return e.matchSize(en, pk)
}

// matchUDP is U5, and L1; the rest is in merge.
func (e *Engine) matchUDP(en *entry, pk *pkt) Reason {
	if pk.pay > uint32(en.gso) {
		return UDPLonger
	}
	return e.matchSize(en, pk)
}

// matchSize is L1 and the settings MaxSize and MaxSegs; in list mode 64 packets and, as in skb_gro_receive_list, the
// second packet counted with its headers.
func (e *Engine) matchSize(en *entry, pk *pkt) Reason {
	add := pk.pay
	if en.bits&bList != 0 {
		if en.count >= udpCount {
			return Count
		}
		add = pk.room
	}
	switch {
	case en.total+add > uint32(e.cfg.MaxSize):
		return Size
	case int(en.count) >= e.cfg.MaxSegs:
		return Count
	}
	return None
}

// sameOptions is T6. The data offsets are equal, so both have the same number of words.
func sameOptions(en *entry, pk *pkt) bool {
	if en.opt[0] != pk.opt[0] || en.opt[1] != pk.opt[1] {
		return false
	}
	for i := 2; i < optWords(pk.word); i++ {
		if en.opt[i] != pk.opt[i] {
			return false
		}
	}
	return true
}
