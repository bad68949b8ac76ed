package gro

import (
	"math/bits"

	"xrx/internal/csum"
	"xrx/umem"
)

// template is how the next packet of an untagged TCP or UDP flow over plain IPv4 looks if it simply goes on: the words
// of a packet that was merged, as they lie in the frame. A packet equal to it in all but IP ID, sequence number and
// checksums has the same lengths, flags, window, acknowledgement, TTL, TOS and options, and nothing about them needs to
// be looked at again. That is most packets of a bulk transfer, and a third of the instructions.
type template struct {
	k1   uint64 // bytes 8..15: MAC, EtherType, version and header length, TOS
	m    uint64 // 16..23 without the ID: length, flags and offset, TTL, protocol
	t0   uint64 // UDP: 34..41 without the checksum: ports, length
	t1   uint64 // TCP: 42..49: acknowledgement, data offset, flags, window
	size uint32 // of the frame; 0 = there is no template
	pay  uint16 // where the payload starts
	ip   uint16 // IP ID and checksum, added: with everything else equal the sum has to be too
	l4   uint16 // sum of pseudo-header and L4 header without sequence number and checksum (TCP: and urgent pointer)
	_    [22]byte
}

const (
	withoutID  = 0xffff_ffff_0000_ffff // in m
	withoutSum = 0x0000_ffff_ffff_ffff // in t0
)

// learn makes h's packet, which was just merged, the template of its flow.
func (en *entry) learn(h *umem.Header, pk *pkt) {
	b := h.Bytes()
	if pk.lay.l3 != ethLen || pk.lay.l4 != ethLen+20 || pk.shape() != 0 || len(b) < 54 || h.Seg != 0 ||
		(pk.lay.pay != 54 && pk.lay.pay != 66 && pk.bits&bUDP == 0) || en.bits&(bPartial|bList) != 0 {
		return
	}
	t := &en.next4
	t.size, t.pay = uint32(len(b)), uint16(pk.lay.pay)
	t.k1, t.m = le.Uint64(b[8:]), le.Uint64(b[16:])&withoutID
	t.ip = csum.Fold(uint64(le.Uint16(b[18:])) + uint64(le.Uint16(b[24:])))
	rest := uint64(0) // what is not in l4
	if pk.bits&bUDP != 0 {
		t.t0 = le.Uint64(b[34:]) & withoutSum
		rest = uint64(le.Uint16(b[40:]))
	} else {
		t.t1 = le.Uint64(b[42:])
		rest = uint64(le.Uint32(b[38:])) + uint64(le.Uint32(b[50:]))
	}
	// The packet was verified: all of it adds up to 0xffff, so l4 is what the rest leaves.
	t.l4 = ^csum.Fold(rest + uint64(native(pk.sum)))
}

// goesOn merges the packet b of h, an untagged IPv4 frame of at least 54 bytes, if it is what P's template says, its
// checksums verify and no limit is in the way. Otherwise it has done nothing, and the packet takes the long way.
func (e *Engine) goesOn(en *entry, h *umem.Header, b []byte) bool {
	t := &en.next4
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
	s := uint64(t.l4)
	udp := 0
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
	head := native(csum.Fold(s))
	sum := ^head
	if e.cfg.Verify != VerifyOff {
		sum = csum.Sum(b[t.pay:])
		if csum.Add(head, sum) != 0xffff {
			return false
		}
		h.Csum = umem.CsumOK
	}
	h.Kind, h.Skip = umem.Segment, t.pay
	e.p.Hold(h)
	e.link(en, h)
	en.addSum(sum)
	en.count++
	en.total += pay
	if udp == 0 {
		en.seq += pay
	}
	e.st.Merged++
	return true
}
