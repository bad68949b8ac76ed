package decode

import (
	"net/netip"
	"strconv"
	"time"
)

// Info is what is known about a delivered packet apart from its bytes.
type Info struct {
	Time     time.Time // printed in its own location
	Queue    int       // rx queue
	Hash     uint32    // flow hash; 0 = absent
	Segs     int       // packets that arrived on the wire for this one
	GSOSize  int       // layer 4 payload of each but the last; 0 where Segs is 1
	Checksum Checksum
	Captured int // bytes that a capture file kept of a packet that it cut off; 0 = all
}

// AppendLine appends the packet as tcpdump -n -S prints it, with -e if link is set, followed by segs= and gso=, and by
// csum= where it is bad or partial. The line ends with a newline.
func (p *Packet) AppendLine(b []byte, info *Info, link bool) []byte {
	b = info.Time.AppendFormat(b, "15:04:05.000000")
	b = append(b, ' ')
	if link && p.Layer != LayerNone {
		b = p.appendLink(b)
	}
	b = p.appendBody(b, link)
	b = appendInt(append(b, " segs="...), info.Segs)
	b = appendInt(append(b, " gso="...), info.GSOSize)
	if info.Checksum == Bad || info.Checksum == Partial {
		b = append(append(b, " csum="...), info.Checksum...)
	}
	return append(b, '\n')
}

// appendLink is the link layer as tcpdump -e prints it (print-ether.c).
func (p *Packet) appendLink(b []byte) []byte {
	b = append(appendMAC(b, p.Src), " > "...)
	b = append(appendMAC(b, p.Dst), ", "...)
	first := p.EtherType
	if p.NumTags > 0 {
		first = p.Tags[0].Type
	}
	b = appendType(b, first)
	b = appendInt(append(b, ", length "...), p.Length)
	b = append(b, ": "...)
	for i, t := range p.Tags[:p.NumTags] {
		b = appendInt(append(b, "vlan "...), t.ID())
		b = appendInt(append(b, ", p "...), int(t.TCI>>13))
		if t.TCI&0x1000 != 0 {
			b = append(b, ", DEI"...)
		}
		next := p.EtherType
		if i+1 < p.NumTags {
			next = p.Tags[i+1].Type
		}
		b = append(appendType(append(b, ", "...), next), ", "...)
	}
	return b
}

// typeNames are the EtherTypes as tcpdump names them (ethertype_values).
var typeNames = map[uint16]string{typeIPv4: "IPv4", typeIPv6: "IPv6", typeARP: "ARP", typeVLAN: "802.1Q", typeAD: "802.1Q-QinQ"}

func appendType(b []byte, t uint16) []byte {
	if t < 0x600 {
		return append(b, "802.3"...)
	}
	name := typeNames[t]
	if name == "" {
		name = "Unknown"
	}
	b = append(append(b, "ethertype "...), name...)
	return append(appendHex16(append(b, " ("...), t), ')')
}

// appendBody is the line behind the link layer; with it, the name of the network protocol has been said, and tcpdump
// leaves a tunnelled one's out too.
func (p *Packet) appendBody(b []byte, link bool) []byte {
	switch {
	case p.Layer == LayerNone:
		b = append(b, "[|ether], length "...)
		return appendInt(b, p.Length)
	case p.Layer == LayerARP:
		if !link {
			b = append(b, "ARP, "...)
		}
		return p.appendARP(b)
	case p.IP.Version == 0:
		switch {
		case p.EtherType == typeIPv4:
			b = append(b, "IP [|ip]"...)
		case p.EtherType == typeIPv6:
			b = append(b, "IP6 [|ip6]"...)
		case p.EtherType < 0x600:
			b = append(b, "802.3"...)
		default:
			b = appendHex16(append(b, "ethertype "...), p.EtherType)
		}
		return appendInt(append(b, ", length "...), p.Payload)
	}
	if p.Outer.Version != 0 {
		b = appendIPName(b, &p.Outer, link)
		b = p.Outer.Src.AppendTo(b)
		b = append(p.Outer.Dst.AppendTo(append(b, " > "...)), ": "...)
	}
	b = appendIPName(b, &p.IP, link)
	ports := p.HasPorts()
	b = p.appendAddr(b, p.IP.Src, p.SrcPort, ports)
	b = p.appendAddr(append(b, " > "...), p.IP.Dst, p.DstPort, ports)
	b = p.appendTransport(append(b, ": "...))
	if p.IP.Fragment {
		b = strconv.AppendUint(append(b, ", frag id "...), uint64(p.IP.ID), 10)
		b = appendInt(append(b, " offset "...), p.IP.Offset)
		if p.IP.More {
			b = append(b, '+')
		}
	}
	return b
}

func appendIPName(b []byte, i *IP, link bool) []byte {
	switch {
	case link:
		return b
	case i.Version == 6:
		return append(b, "IP6 "...)
	}
	return append(b, "IP "...)
}

func (p *Packet) appendAddr(b []byte, a netip.Addr, port uint16, ports bool) []byte {
	b = a.AppendTo(b)
	if ports {
		b = appendInt(append(b, '.'), int(port))
	}
	return b
}

// appendTransport is what comes behind the addresses.
func (p *Packet) appendTransport(b []byte) []byte {
	switch p.Layer {
	case LayerTCP:
		return p.appendTCP(b)
	case LayerUDP:
		if len(p.Data) < p.L4+8 {
			b = append(b, "[|udp]"...)
		} else {
			b = append(b, "UDP"...)
		}
		return appendInt(append(b, ", length "...), p.Payload)
	case LayerICMP:
		return p.appendICMP(b)
	case LayerICMPv6:
		return p.appendICMPv6(b)
	}
	if n, ok := protoNames[p.IP.Proto]; ok {
		b = append(b, n[1]...)
	} else {
		b = appendInt(append(b, "ip-proto-"...), int(p.IP.Proto))
	}
	return appendInt(append(b, ", length "...), p.Payload)
}

func appendInt(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) }

func appendMAC(b []byte, m [6]byte) []byte {
	const digits = "0123456789abcdef"
	for i, x := range m {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[x>>4], digits[x&15])
	}
	return b
}
