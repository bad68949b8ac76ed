package gro

import "encoding/binary"

// original is what completion rewrites in the first packet's headers, as it came from the wire. It lies in the Scratch
// of the head's hidden header, so that the packet can be taken apart again, byte for byte.
type original struct {
	lay      layout
	bits     uint16
	outerLen uint16 // tot_len or payload_len of the tunnel header
	outerSum uint16 // its checksum, if IPv4
	l3Len    uint16
	l3Sum    uint16
	l4Len    uint16 // UDP length; TCP: flags byte
	l4Sum    uint16
}

// Fields are read and written as the 16 bits that are there, in native order: nobody computes with them.

func (o *original) save(en *entry, b []byte) {
	o.lay, o.bits = en.lay, en.bits
	if o.lay.outer != 0 {
		o.outerLen, o.outerSum = lengthOf(b[o.lay.outer:], o.bits&bOuterV6 != 0)
	}
	o.l3Len, o.l3Sum = lengthOf(b[o.lay.l3:], o.bits&bV6 != 0)
	l4 := b[o.lay.l4:]
	if o.bits&bUDP != 0 {
		o.l4Len, o.l4Sum = binary.NativeEndian.Uint16(l4[4:]), binary.NativeEndian.Uint16(l4[6:])
	} else {
		o.l4Len, o.l4Sum = uint16(l4[13]), binary.NativeEndian.Uint16(l4[16:])
	}
}

// restore writes the fields back into b, the headers.
func (o *original) restore(b []byte) {
	if o.lay.outer != 0 {
		restoreLength(b[o.lay.outer:], o.outerLen, o.outerSum, o.bits&bOuterV6 != 0)
	}
	restoreLength(b[o.lay.l3:], o.l3Len, o.l3Sum, o.bits&bV6 != 0)
	l4 := b[o.lay.l4:]
	if o.bits&bUDP != 0 {
		binary.NativeEndian.PutUint16(l4[4:], o.l4Len)
		binary.NativeEndian.PutUint16(l4[6:], o.l4Sum)
	} else {
		l4[13] = byte(o.l4Len)
		binary.NativeEndian.PutUint16(l4[16:], o.l4Sum)
	}
}

func lengthOf(l3 []byte, v6 bool) (length, sum uint16) {
	if v6 {
		return binary.NativeEndian.Uint16(l3[4:]), 0
	}
	return binary.NativeEndian.Uint16(l3[2:]), binary.NativeEndian.Uint16(l3[10:])
}

func restoreLength(l3 []byte, length, sum uint16, v6 bool) {
	if v6 {
		binary.NativeEndian.PutUint16(l3[4:], length)
		return
	}
	binary.NativeEndian.PutUint16(l3[2:], length)
	binary.NativeEndian.PutUint16(l3[10:], sum)
}

func (o *original) store(s *[64]byte) {
	s[0], s[1], s[2], s[3] = o.lay.outer, o.lay.l3, o.lay.l4, o.lay.pay
	for i, v := range [...]uint16{o.bits, o.outerLen, o.outerSum, o.l3Len, o.l3Sum, o.l4Len, o.l4Sum} {
		binary.NativeEndian.PutUint16(s[4+2*i:], v)
	}
}

func (o *original) load(s *[64]byte) {
	o.lay = layout{s[0], s[1], s[2], s[3]}
	for i, v := range [...]*uint16{&o.bits, &o.outerLen, &o.outerSum, &o.l3Len, &o.l3Sum, &o.l4Len, &o.l4Sum} {
		*v = binary.NativeEndian.Uint16(s[4+2*i:])
	}
}
