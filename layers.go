package xrx

import (
	"encoding/binary"

	"xrx/internal/headers"
)

// layers is what a Mux chooses a handler by.
type layers struct {
	etherType uint16 // behind at most two VLAN tags; below 0x600 it is an 802.3 length
	proto     uint8  // IP protocol behind IPv6 extension headers; 0: not IP, or not known
	known     bool   // the packet has a TCP, UDP or SCTP header, with
	ports     uint32 // the source port in the high half, the destination port in the low
}

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
	if end := int(at) + 4; at != 0 && headers.HasPorts(proto) && len(b) >= end {
		l.ports, l.known = binary.BigEndian.Uint32(b[at:end]), true
	}
	return l
}

// parse finds them without metadata.
func parse(b []byte) layers {
	o := headers.Find(b)
	l := layers{etherType: o.EtherType, proto: o.Proto}
	if ports := o.Ports(b); ports != nil {
		l.ports, l.known = binary.BigEndian.Uint32(ports), true
	}
	return l
}
