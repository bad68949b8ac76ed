// Package headers finds addresses, ports and TCP fields of a packet (Packet), or only where its headers are, as the XDP
// program does (Outline). It believes no length that a packet claims and no metadata, allocates nothing, and looks at the
// first buffer only.
package headers

import (
	"encoding/binary"
	"net/netip"
)

// Problem says why a packet has no addresses or ports to speak of.
type Problem uint8

const (
	OK        Problem = iota
	NotIP             // ARP, LLDP and the like
	Malformed         // a header is cut off, or a length contradicts another
	Fragment          // an IP fragment: addresses and protocol are set, ports are not
)

// Packet is what was found. Offsets are bytes from the Ethernet header.
type Packet struct {
	Src, Dst         [16]byte // an IPv4 address is in the first four
	V6               bool
	Proto            uint8  // after IPv6 extension headers
	VLAN             uint16 // TCI of the outermost tag; 0: none
	SrcPort, DstPort uint16 // TCP, UDP, SCTP; else 0
	Flags            uint8  // TCP
	Seq              uint32 // TCP
	L3, L4           int    // where the IP and the TCP/UDP/.. headers start
	Payload          int    // where the payload of TCP and UDP starts; of others L4
	End              int    // where the IP packet ends: what follows is padding
}

// Protocol numbers (IANA).
const (
	TCP  = 6
	UDP  = 17
	SCTP = 132
)

// Parse reads the headers of a packet of total bytes whose first buffer is b.
func (p *Packet) Parse(b []byte, total int) Problem {
	*p = Packet{}
	if len(b) < 14 {
		return Malformed
	}
	at, kind := 14, binary.BigEndian.Uint16(b[12:])
	for tags := 0; kind == 0x8100 || kind == 0x88a8; tags++ {
		if len(b) < at+4 || tags == 4 {
			return Malformed
		}
		if tags == 0 {
			p.VLAN = binary.BigEndian.Uint16(b[at:])
		}
		kind = binary.BigEndian.Uint16(b[at+2:])
		at += 4
	}
	p.L3 = at
	switch kind {
	case 0x0800:
		return p.ip4(b, total)
	case 0x86dd:
		return p.ip6(b, total)
	}
	return NotIP
}

func (p *Packet) ip4(b []byte, total int) Problem {
	h := b[p.L3:]
	if len(h) < 20 || h[0]>>4 != 4 {
		return Malformed
	}
	header, length := int(h[0]&15)*4, int(binary.BigEndian.Uint16(h[2:]))
	if header < 20 || length < header || p.L3+length > total || len(h) < header {
		return Malformed
	}
	copy(p.Src[:], h[12:16])
	copy(p.Dst[:], h[16:20])
	p.Proto = h[9]
	p.L4, p.End = p.L3+header, p.L3+length
	p.Payload = p.L4
	if binary.BigEndian.Uint16(h[6:])&0x3fff != 0 { // more fragments, or an offset
		return Fragment
	}
	return p.transport(b)
}

func (p *Packet) ip6(b []byte, total int) Problem {
	h := b[p.L3:]
	if len(h) < 40 || h[0]>>4 != 6 {
		return Malformed
	}
	p.V6 = true
	copy(p.Src[:], h[8:24])
	copy(p.Dst[:], h[24:40])
	p.End = p.L3 + 40 + int(binary.BigEndian.Uint16(h[4:]))
	if p.End > total {
		return Malformed
	}
	p.Proto = h[6]
	at := p.L3 + 40
	for extensions := 0; ; extensions++ {
		p.L4, p.Payload = at, at
		var length int
		switch p.Proto {
		case 0, 43, 60: // hop-by-hop, routing, destination options (RFC 8200, section 4)
			if len(b) < at+8 || extensions == 8 {
				return Malformed
			}
			length = 8 + int(b[at+1])*8
		case 51: // authentication (RFC 4302)
			if len(b) < at+8 || extensions == 8 {
				return Malformed
			}
			length = 8 + int(b[at+1])*4
		case 44:
			if len(b) < at+8 {
				return Malformed
			}
			p.Proto = b[at]
			return Fragment
		default:
			return p.transport(b)
		}
		p.Proto = b[at]
		if at += length; at > p.End {
			return Malformed
		}
	}
}

func (p *Packet) transport(b []byte) Problem {
	h := b[min(p.L4, len(b)):min(p.End, len(b))]
	switch p.Proto {
	case TCP:
		if len(h) < 20 {
			return Malformed
		}
		header := int(h[12]>>4) * 4
		if header < 20 || p.L4+header > p.End {
			return Malformed
		}
		p.Seq, p.Flags = binary.BigEndian.Uint32(h[4:]), h[13]
		p.Payload = p.L4 + header
	case UDP:
		if len(h) < 8 {
			return Malformed
		}
		p.Payload = p.L4 + 8
	case SCTP:
		if len(h) < 12 {
			return Malformed
		}
	default:
		return OK
	}
	p.SrcPort, p.DstPort = binary.BigEndian.Uint16(h), binary.BigEndian.Uint16(h[2:])
	return OK
}

// Addr returns an address of Src or Dst.
func Addr(b [16]byte, v6 bool) netip.Addr {
	if v6 {
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte(b[:4]))
}
