package decode

import "encoding/binary"

// transport reads the header behind the IP headers, at an offset that may lie beyond the captured bytes.
func (p *Packet) transport(at int) {
	if at > len(p.Data) {
		p.Cut = true
		return
	}
	b := p.Data[at:]
	b = b[:min(len(b), p.IP.Payload)] // not the padding of a short frame
	switch {
	case p.IP.Proto == protoTCP:
		p.tcp(b)
	case p.IP.Proto == protoUDP:
		p.udp(b)
	case p.IP.Proto == protoICMP && p.IP.Version == 4:
		p.Layer, p.Cut = LayerICMP, p.Cut || len(b) < 8
	case p.IP.Proto == protoICMPv6 && p.IP.Version == 6:
		p.Layer, p.Cut = LayerICMPv6, p.Cut || len(b) < 8
	}
}

// tcp reads a TCP header (RFC 9293, section 3.1).
func (p *Packet) tcp(b []byte) {
	p.Layer = LayerTCP
	p.ports(b)
	if len(b) < 20 {
		p.Cut = true
		return
	}
	p.Seq, p.Ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	p.Flags = b[13]
	p.Window, p.Urgent = binary.BigEndian.Uint16(b[14:]), binary.BigEndian.Uint16(b[18:])
	hl := int(b[12]>>4) * 4
	if hl < 20 || hl > len(b) {
		p.Cut = true
		hl = max(20, hl)
	} else {
		p.Options = b[20:hl]
	}
	p.Payload = max(0, p.IP.Payload-hl)
}

// udp reads a UDP header (RFC 768). A length that can't be gives way to the IP header's.
func (p *Packet) udp(b []byte) {
	p.Layer = LayerUDP
	p.ports(b)
	if len(b) < 8 {
		p.Cut = true
		return
	}
	p.Payload = max(0, p.IP.Payload-8)
	if n := int(binary.BigEndian.Uint16(b[4:])); n >= 8 && (n-8 <= p.Payload || p.IP.Fragment) {
		p.Payload = n - 8
	}
}

func (p *Packet) ports(b []byte) {
	if len(b) < 4 {
		p.Cut = true
		return
	}
	p.SrcPort, p.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
}

// HasPorts reports whether SrcPort and DstPort were in the packet.
func (p *Packet) HasPorts() bool {
	return (p.Layer == LayerTCP || p.Layer == LayerUDP) && len(p.Data) >= p.L4+4 && p.IP.Payload >= 4
}
