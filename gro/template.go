package gro

import (
	"math/bits"

	"xrx/internal/csum"
	"xrx/umem"
)

// template is how the next packet of a TCP or UDP flow over plain IPv4 (untagged) or IPv6 looks if it simply goes on:
// the words of a packet that was merged, as they lie in the frame. A packet equal to it in all but IP ID, sequence number and
// checksums has the same lengths, flags, window, acknowledgement, TTL, TOS and options, and nothing about them needs to
// be looked at again. That is most packets of a bulk transfer, and a third of the instructions.
type template struct {
	k1   uint64 // IPv4, bytes 8..15: MAC, EtherType, version and header length, TOS
	m    uint64 // IPv4, 16..23 without the ID: length, flags and offset, TTL, protocol
	t0   uint64 // UDP without the checksum: ports, length
	t1   uint64 // TCP from byte 8: acknowledgement, data offset, flags, window
	size uint32 // of the frame; 0 = there is no template
	pay  uint16 // where the payload starts
	ip   uint16 // IPv4: ID and checksum, added: with everything else equal the sum has to be too
	l4   uint16 // sum of pseudo-header and L4 header without sequence number and checksum (TCP: and urgent pointer)
	_    [22]byte
}

const (
	withoutID  = 0xffff_ffff_0000_ffff // in m
	withoutSum = 0x0000_ffff_ffff_ffff // in t0
)

// learn makes h's packet, which was just merged, the template of its flow.
func (en *entry) learn(h *umem.Header, pk *pkt) {
	b, hl := h.Bytes(), int(pk.lay.pay-pk.lay.l4)
	switch {
	case uint32(len(b)) != h.Total || en.bits&(bPartial|bList) != 0 || pk.bits&bUDP == 0 && hl != 20 && hl != 32:
		return
	case pk.shape() == 0 && pk.lay.l4 == ethLen+20:
		en.learn4(pk, b)
	case pk.shape()&^shapeVLAN == shapeV6|shapeWide && pk.lay.l4 == pk.lay.l3+40:
	default:
		return
	}
	t, l4 := &en.tmpl, b[pk.lay.l4:]
	t.size, t.pay = uint32(len(b)), uint16(pk.lay.pay)
	rest := uint64(0) // what is not in l4
	if pk.bits&bUDP != 0 {
		t.t0 = le.Uint64(l4) & withoutSum
		rest = uint64(le.Uint16(l4[6:]))
	} else {
		t.t1 = le.Uint64(l4[8:])
		rest = uint64(le.Uint32(l4[4:])) + uint64(le.Uint32(l4[16:]))
	}
	// The packet was verified: all of it adds up to 0xffff, so l4 is what the rest leaves.
	t.l4 = ^csum.Fold(rest + uint64(native(pk.sum)))
}

// learn4 is the part of learn that is IPv4's.
func (en *entry) learn4(pk *pkt, b []byte) {
	t := &en.tmpl
	t.k1, t.m = le.Uint64(b[8:]), le.Uint64(b[16:])&withoutID
	t.ip = csum.Fold(uint64(le.Uint16(b[18:])) + uint64(le.Uint16(b[24:])))
}

// goesOn merges the packet b of h, an untagged IPv4 frame of at least 54 bytes, if it is what P's template says, its
// checksums verify and no limit is in the way. Otherwise it has done nothing, and the packet takes the long way.
func (e *Engine) goesOn(en *entry, h *umem.Header, b []byte) bool {
	t := &en.tmpl
	if uint32(len(b)) != t.size || h.Total != t.size {
		return false
	}
	k0, k1, m, k2, t0 := le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[26:]), le.Uint64(b[34:])
	id := uint64(uint16(m >> 16))
	diff := (en.k0 ^ k0) | (t.k1 ^ k1) | (t.m ^ m&withoutID) | (en.k2 ^ k2)
	d := uint64(bits.ReverseBytes16(uint16(id)) - en.id)
	if en.bits&bFixed == 0 {
		d ^= uint64(en.count)
	}
	diff |= d
	s, udp := uint64(t.l4), 0
	if en.bits&bUDP != 0 {
		udp = 1
		diff |= t.t0 ^ t0&withoutSum
		if t0>>48 == 0 {
			return false
		}
		s += t0 >> 48
	} else {
		diff |= (en.k3^t0)&0xffffffff | (t.t1 ^ le.Uint64(b[42:])) | uint64(bits.ReverseBytes32(uint32(t0>>32))^en.seq)
		if len(b) >= 66 && t.pay == 66 {
			diff |= (en.opt[0] ^ le.Uint64(b[54:])) | (en.opt[1] ^ uint64(le.Uint32(b[62:])))
		}
		s += t0>>32 + uint64(le.Uint32(b[50:]))
	}
	pay := uint32(en.gso)
	if diff != 0 || csum.Fold(id+uint64(le.Uint16(b[24:]))) != t.ip || en.total+pay > e.maxSize || uint32(en.count) >= e.keepSegs[udp] {
		return false
	}
	return e.take(en, h, b[t.pay:], pay, s)
}

// goesOn6 is goesOn for IPv6, where plain6 has made the key: what is left is TCP or UDP, in l4.
func (e *Engine) goesOn6(en *entry, h *umem.Header, pk *pkt, b, l4 []byte) bool {
	t := &en.tmpl
	if uint32(len(b)) != t.size {
		return false
	}
	diff := (en.k0 ^ pk.k0) | (en.k1 ^ pk.k1) | (en.k2 ^ pk.k2) | (en.k3 ^ pk.k3) | (en.k4 ^ pk.k4) | (en.k5 ^ pk.k5) |
		(en.k6 ^ pk.k6) | (en.k7 ^ pk.k7) | (en.k8 ^ pk.k8) | uint64(en.l3^pk.l3)
	s, udp := uint64(t.l4), 0
	t0 := le.Uint64(l4)
	if en.bits&bUDP != 0 {
		udp = 1
		diff |= t.t0 ^ t0&withoutSum
		if t0>>48 == 0 {
			return false
		}
		s += t0 >> 48
	} else {
		diff |= (t.t1 ^ le.Uint64(l4[8:])) | uint64(bits.ReverseBytes32(uint32(t0>>32))^en.seq)
		if len(l4) >= 32 && en.word>>28 == 8 {
			diff |= (en.opt[0] ^ le.Uint64(l4[20:])) | (en.opt[1] ^ uint64(le.Uint32(l4[28:])))
		}
		s += t0>>32 + uint64(le.Uint32(l4[16:]))
	}
	pay := uint32(en.gso)
	if diff != 0 || en.total+pay > e.maxSize || uint32(en.count) >= e.keepSegs[udp] {
		return false
	}
	return e.take(en, h, b[t.pay:], pay, s)
}

// take merges h, whose headers were found to be right, if the payload is too: s is the sum of pseudo-header and L4
// header.
func (e *Engine) take(en *entry, h *umem.Header, payload []byte, pay uint32, s uint64) bool {
	head := native(csum.Fold(s))
	sum := ^head
	if e.cfg.Verify != VerifyOff {
		sum = csum.Sum(payload)
		if csum.Add(head, sum) != 0xffff {
			return false
		}
		h.Csum = umem.CsumOK
	}
	h.Kind, h.Skip = umem.Segment, en.tmpl.pay
	e.p.Hold(h)
	e.link(en, h)
	en.addSum(sum)
	en.count++
	en.total += pay
	if en.bits&bUDP == 0 {
		en.seq += pay
	}
	e.st.Merged++
	return true
}
