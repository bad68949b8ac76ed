package gro

import (
	"encoding/binary"
)

// spec is a packet to build. The zero value of a field means: the ordinary value; fields that break something are named
// after it. Builders compute checksums with slowSum, not with package csum.
type spec struct {
	dst, src  byte // last byte of the Ethernet addresses
	vlan      []uint32
	v6        bool
	saddr     uint16 // last two bytes of the source address
	tos, ttl  uint8
	id        uint16
	noDF, res bool
	frag      uint16 // offset and MF as on the wire
	ipopt     []byte
	label     uint32
	ext       []byte // IPv6 extension headers; ext[0] is patched to point to the protocol at the end
	extType   uint8
	outer     *spec // tunnel header: its addresses, tos, ttl, id, noDF, v6, label
	udp       bool
	raw       uint8 // some other protocol
	sport     uint16
	dport     uint16
	seq, ack  uint32
	flags     uint8 // default ACK
	ae        bool
	win       uint16 // default 501
	urg       uint16
	opt       []byte
	doff      uint8
	payload   []byte
	pad       int // bytes after the IP packet
	lenDelta  int // added to tot_len or payload_len
	udpLen    int // added to the UDP length
	badIP     bool
	badSum    bool
	zeroSum   bool
	partial   bool
	ethertype uint16
}

const (
	fFIN, fSYN, fRST, fPSH, fACK, fURG, fECE, fCWR = 1, 2, 4, 8, 16, 32, 64, 128
)

// slowSum is RFC 1071 as one would write it first.
func slowSum(start uint32, parts ...[]byte) uint16 {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	if len(all)%2 == 1 {
		all = append(all, 0)
	}
	for i := 0; i < len(all); i += 2 {
		start += uint32(all[i])<<8 | uint32(all[i+1])
		start = start&0xffff + start>>16
	}
	return uint16(start)
}

func (s spec) build() []byte {
	p := binary.BigEndian
	var l4 []byte
	proto := byte(6)
	sport, dport := s.sport, s.dport
	if sport == 0 {
		sport = 4000
	}
	if dport == 0 {
		dport = 5201
	}
	field := 16
	switch {
	case s.raw != 0:
		proto, l4 = s.raw, s.payload
	case s.udp:
		proto, field = 17, 6
		l4 = make([]byte, 8, 8+len(s.payload))
		p.PutUint16(l4[4:], uint16(8+len(s.payload)+s.udpLen))
		l4 = append(l4, s.payload...)
	default:
		l4 = make([]byte, 20, 60+len(s.payload))
		l4 = append(l4, s.opt...)
		p.PutUint32(l4[4:], s.seq)
		p.PutUint32(l4[8:], s.ack)
		l4[12] = byte(len(l4)/4) << 4
		if s.doff != 0 {
			l4[12] = s.doff << 4
		}
		if s.ae {
			l4[12] |= 1
		}
		l4[13] = s.flags
		if s.flags == 0 {
			l4[13] = fACK
		}
		p.PutUint16(l4[14:], 501)
		if s.win != 0 {
			p.PutUint16(l4[14:], s.win)
		}
		p.PutUint16(l4[18:], s.urg)
		l4 = append(l4, s.payload...)
	}
	if s.raw == 0 {
		p.PutUint16(l4, sport)
		p.PutUint16(l4[2:], dport)
	}
	l3 := s.l3(proto, l4, 0)
	if s.raw == 0 {
		pseudo := pseudoOf(l3, s.v6, proto, len(l4))
		c := ^slowSum(uint32(pseudo), l4)
		switch {
		case s.zeroSum:
			c = 0
		case s.partial:
			c = pseudo
		case s.badSum:
			c ^= 0x1234
		case s.udp && c == 0:
			c = 0xffff
		}
		p.PutUint16(l3[len(l3)-len(l4)+field:], c)
	}
	etype := uint16(0x0800)
	if s.v6 {
		etype = 0x86dd
	}
	if s.outer != nil {
		o := *s.outer
		proto = 4
		if s.v6 {
			proto = 41
		}
		etype = 0x0800
		if o.v6 {
			etype = 0x86dd
		}
		l3 = o.l3(proto, l3, 0)
	}
	if s.ethertype != 0 {
		etype = s.ethertype
	}
	eth := []byte{2, 0, 0, 0, 0, s.dst, 2, 0, 0, 0, 1, s.src}
	for _, t := range s.vlan { // type<<16 | TCI
		eth = p.AppendUint32(eth, t)
	}
	eth = p.AppendUint16(eth, etype)
	eth = append(eth, l3...)
	return append(eth, make([]byte, s.pad)...)
}

func (s spec) l3(proto byte, body []byte, _ int) []byte {
	p := binary.BigEndian
	ttl := s.ttl
	if ttl == 0 {
		ttl = 64
	}
	if s.v6 {
		h := make([]byte, 40)
		p.PutUint32(h, 6<<28|uint32(s.tos)<<20|s.label&0xfffff)
		p.PutUint16(h[4:], uint16(len(s.ext)+len(body)+s.lenDelta))
		h[6], h[7] = proto, ttl
		h[8], h[9], h[23] = 0x20, 1, 1
		p.PutUint16(h[21:], s.saddr)
		h[24], h[25], h[39] = 0x20, 1, 2
		if len(s.ext) > 0 {
			h[6] = s.extType
			ext := append([]byte(nil), s.ext...)
			at := 0
			for t := s.extType; ; { // the last header of the chain names the protocol
				n := int(ext[at+1])*8 + 8
				if t == 44 {
					n = 8
				}
				if at+n >= len(ext) {
					break
				}
				t, at = ext[at], at+n
			}
			ext[at] = proto
			h = append(h, ext...)
		}
		return append(h, body...)
	}
	h := make([]byte, 20)
	h = append(h, s.ipopt...)
	h[0] = 0x40 | byte(len(h)/4)
	h[1], h[8], h[9] = s.tos, ttl, proto
	p.PutUint16(h[2:], uint16(len(h)+len(body)+s.lenDelta))
	p.PutUint16(h[4:], s.id)
	fl := s.frag
	if !s.noDF {
		fl |= 0x4000
	}
	if s.res {
		fl |= 0x8000
	}
	p.PutUint16(h[6:], fl)
	copy(h[12:], []byte{10, 0, byte(s.saddr >> 8), byte(s.saddr), 10, 1, 0, 1})
	p.PutUint16(h[10:], ^slowSum(0, h))
	if s.badIP {
		h[10] ^= 0x55
	}
	return append(h, body...)
}

func pseudoOf(l3 []byte, v6 bool, proto byte, n int) uint16 {
	if v6 {
		return slowSum(uint32(proto)+uint32(n), l3[8:40])
	}
	return slowSum(uint32(proto)+uint32(n), l3[12:20])
}
