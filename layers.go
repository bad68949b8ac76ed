package xrx

import "encoding/binary"

// layers is what a Mux chooses a handler by.
type layers struct {
	etherType uint16 // behind at most two VLAN tags; below 0x600 it is an 802.3 length
	proto     uint8  // IP protocol behind IPv6 extension headers; 0: not IP, or not known
	known     bool   // the packet has a TCP, UDP or SCTP header, with
	ports     uint32 // the source port in the high half, the destination port in the low
}

// IP protocols that have ports in their first four bytes (IANA).
const (
	protoTCP  = 6
	protoUDP  = 17
	protoSCTP = 132
)

func hasPorts(proto uint8) bool { return proto == protoTCP || proto == protoUDP || proto == protoSCTP }

// layersOf reads them where the XDP program's metadata says they are; of a packet that came without, by itself.
func layersOf(p Packet) layers {
	p.h.Check(p.gen)
	b := p.h.Bytes()
	l3, at, proto := p.h.Layers(p.q.packetOffset)
	if l3 == 0 { // not IP, or no metadata
		return parse(b)
	}
	l := layers{etherType: 0x0800, proto: proto}
	if l3 == 6 {
		l.etherType = 0x86dd
	}
	if end := int(at) + 4; at != 0 && hasPorts(proto) && len(b) >= end {
		l.ports, l.known = binary.BigEndian.Uint32(b[at:end]), true
	}
	return l
}

// readPorts reads them at an offset, where the protocol has any and they are there.
func (l *layers) readPorts(b []byte, at int) {
	if hasPorts(l.proto) && len(b) >= at+4 {
		l.ports, l.known = binary.BigEndian.Uint32(b[at:]), true
	}
}

// parse finds what bpf/xrx_parse.h finds.
func parse(b []byte) (l layers) {
	if len(b) < 14 {
		return l
	}
	l.etherType = binary.BigEndian.Uint16(b[12:])
	at := 14
	for range 2 {
		if l.etherType != 0x8100 && l.etherType != 0x88a8 || len(b) < at+4 {
			break
		}
		l.etherType = binary.BigEndian.Uint16(b[at+2:])
		at += 4
	}
	switch ip := b[at:]; {
	case l.etherType == 0x0800 && len(ip) >= 20 && ip[0]>>4 == 4 && ip[0]&15 >= 5:
		l.proto = ip[9]
		if binary.BigEndian.Uint16(ip[6:])&0x1fff == 0 { // whole, or the first fragment
			l.readPorts(b, at+int(ip[0]&15)*4)
		}
	case l.etherType == 0x86dd && len(ip) >= 40 && ip[0]>>4 == 6:
		l.ipv6(b, at)
	}
	return l
}

// ipv6 walks at most eight extension headers (RFC 8200, section 4). The ports are read where they are in this fragment
// and no farther away than the XDP program looks.
func (l *layers) ipv6(b []byte, at int) {
	l.proto = b[at+6]
	at += 40
	for n := 0; extension(l.proto); n++ {
		if n == 8 || len(b) < at+8 {
			return
		}
		length, later := 8+8*int(b[at+1]), false
		if l.proto == 44 {
			length, later = 8, binary.BigEndian.Uint16(b[at+2:])>>3 != 0
		}
		l.proto = b[at]
		at += length
		if later || at > 255 {
			return
		}
	}
	l.readPorts(b, at)
}

// extension reports whether an IPv6 next header is hop-by-hop, routing, fragment or destination options.
func extension(p uint8) bool { return p == 0 || p == 43 || p == 44 || p == 60 }
