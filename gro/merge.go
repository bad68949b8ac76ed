package gro

import "xrx/umem"

// merge makes h's packet a segment of P, the held packet i.
func (e *Engine) merge(i uint32, en *entry, h *umem.Header, pk *pkt) {
	e.p.Hold(h)
	if h.Seg != 0 {
		e.holdRest(en, h)
	}
	h.Kind = umem.Segment
	h.Skip = uint16(pk.lay.pay)
	if en.bits&bList != 0 {
		h.Skip = 0
	}
	e.link(en, h)
	en.addSum(pk.sum)
	en.count++
	en.total += pk.pay
	e.st.Merged++
	if pk.bits&bUDP == 0 {
		en.seq += pk.pay
		en.word |= pk.word & (tcpPSH | tcpFIN) // T11
		switch {
		case pk.final:
			e.complete(i, TCPPush)
		case pk.pay < uint32(en.gso):
			e.complete(i, TCPShort)
		default:
			en.learn(h, pk)
		}
		return
	}
	switch {
	case pk.pay < uint32(en.gso): // U7
		e.complete(i, UDPShorter)
	case en.count >= udpCount: // U8
		e.complete(i, Count)
	default:
		en.learn(h, pk)
	}
}

// link appends h, with its further buffers, to P's chain: what Pool.Append does, with the end of the chain kept in the
// entry, so that the head's cache line is left alone until P is complete.
func (e *Engine) link(en *entry, h *umem.Header) {
	r := e.u.RefOf(h)
	e.u.Deref(en.tail).Seg = r
	if h.Tail != 0 {
		r = h.Tail
	}
	en.tail = r
}

// addSum adds the sum of the next packet's payload. Where the payload so far has an odd length (all packets but the
// last have the length gso) the bytes of each word change places.
func (en *entry) addSum(s uint16) {
	if en.gso&en.count&1 != 0 {
		s = s>>8 | s<<8
	}
	t := uint32(en.sum) + uint32(s)
	en.sum = uint16(t + t>>16)
}
