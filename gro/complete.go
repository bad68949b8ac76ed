package gro

import (
	"encoding/binary"

	"xrx/internal/csum"
	"xrx/umem"
)

// complete ends the held packet i.
func (e *Engine) complete(i uint32, why Reason) {
	e.remove(i)
	e.end(&e.ents[i], why)
}

// end makes the headers of P those of the packet that it has become, and puts it into Out. Its entry is spare already,
// and is not written.
func (e *Engine) end(en *entry, why Reason) {
	h := e.u.Deref(en.head)
	e.ended += uint64(en.count)
	if en.bits&bChain != 0 {
		e.ended += uint64(en.extra)
	}
	if en.count > 1 { // K1: alone it stays what it was
		e.finish(en, h)
	}
	e.st.Held--
	e.st.Flush[why]++
	e.emit(h)
}

// finish writes the head of a packet of several.
func (e *Engine) finish(en *entry, h *umem.Header) {
	h.Kind, h.Tail, h.Bufs = umem.Head, en.tail, en.count
	if en.bits&bChain != 0 {
		h.Bufs += en.extra
	}
	h.Segs, h.GSOSize = en.count, en.gso
	e.st.Coalesced++
	if en.bits&bList != 0 {
		h.Total = en.total + ethLen + uint32(en.count-1)*uint32(en.lay.pay)
		return
	}
	h.Total = en.total + ethLen
	b := h.Bytes()
	var o original
	o.save(en, b)
	o.store(&h.Scratch)
	if en.lay.outer != 0 {
		setLength(b[en.lay.outer:], h.Total-uint32(en.lay.outer), en.bits&bOuterV6 != 0)
	}
	setLength(b[en.lay.l3:], h.Total-uint32(en.lay.l3), en.bits&bV6 != 0)
	n := int(h.Total) - int(en.lay.l4)
	l4 := b[en.lay.l4:en.lay.pay]
	var field []byte
	if en.bits&bUDP != 0 {
		binary.BigEndian.PutUint16(l4[4:], uint16(n)) // K5
		field = l4[6:8]
	} else {
		l4[13] = byte(en.word >> 16) // K4
		field = l4[16:18]
	}
	binary.NativeEndian.PutUint16(field, 0)
	s := pseudo(b, en, n)
	if en.bits&bPartial == 0 { // K6: a real checksum, from the sums of the segments (C2)
		s = ^csum.Add(csum.Add(s, csum.Sum(l4)), en.sum)
		if s == 0 && en.bits&bUDP != 0 { // C4
			s = 0xffff
		}
		if h.Csum == umem.CsumOK {
			h.Csum = umem.CsumFinished
		}
	}
	binary.NativeEndian.PutUint16(field, s)
}

// setLength makes n the length of the datagram that starts with the header l3: K2 and K3. The IPv4 checksum is updated,
// never written anew: it was verified, and would stay wrong if it were not right.
func setLength(l3 []byte, n uint32, v6 bool) {
	if v6 {
		binary.BigEndian.PutUint16(l3[4:], uint16(n-40))
		return
	}
	before := binary.NativeEndian.Uint16(l3[2:])
	binary.BigEndian.PutUint16(l3[2:], uint16(n))
	after := binary.NativeEndian.Uint16(l3[2:])
	check := binary.NativeEndian.Uint16(l3[10:])
	binary.NativeEndian.PutUint16(l3[10:], csum.Update16(check, before, after))
}

// pseudo returns the sum of the pseudo-header of P for n bytes of L4.
func pseudo(b []byte, en *entry, n int) uint16 {
	l3 := b[en.lay.l3:]
	if en.bits&bV6 != 0 {
		return csum.PseudoIPv6(l3[8:24], l3[24:40], uint8(en.k3>>56), n)
	}
	return csum.PseudoIPv4(l3[12:16], l3[16:20], uint8(en.k3>>56), n)
}
