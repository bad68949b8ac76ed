package headers

import "encoding/binary"

// Outline is where the headers of a packet are, as the XDP program finds them (bpf/xrx_parse.h): for packets that came
// without its metadata. Tests hold what is made of it to the program.
type Outline struct {
	EtherType uint16 // behind at most two VLAN tags; below 0x600 it is an 802.3 length
	Proto     uint8  // IP protocol behind IPv6 extension headers; 0 also where there is no IP header
	Fragment  bool   // a part of an IP packet, the first one too
	L3        int    // where the IP header starts; 0: there is none, or it is cut off
	L4        int    // where the header behind it starts; 0: not in this packet, or farther away than the program looks
}

// Find walks the headers of a packet whose first buffer is b.
func Find(b []byte) (o Outline) {
	if len(b) < 14 {
		return o
	}
	o.EtherType = binary.BigEndian.Uint16(b[12:])
	at := 14
	for range 2 {
		if o.EtherType != 0x8100 && o.EtherType != 0x88a8 || len(b) < at+4 {
			break
		}
		o.EtherType = binary.BigEndian.Uint16(b[at+2:])
		at += 4
	}
	switch ip := b[at:]; {
	case o.EtherType == 0x0800 && len(ip) >= 20 && ip[0]>>4 == 4 && ip[0]&15 >= 5:
		o.L3, o.Proto = at, ip[9]
		fragment := binary.BigEndian.Uint16(ip[6:])
		if o.Fragment = fragment&0x3fff != 0; fragment&0x1fff == 0 {
			o.L4 = at + int(ip[0]&15)*4
		}
	case o.EtherType == 0x86dd && len(ip) >= 40 && ip[0]>>4 == 6:
		o.L3, o.Proto = at, ip[6]
		o.walk(b, at+40)
	}
	return o
}

// walk goes over at most eight extension headers (RFC 8200, section 4) and as far as 255 bytes, like the program.
func (o *Outline) walk(b []byte, at int) {
	for n := 0; Extension(o.Proto); n++ {
		if n == 8 || len(b) < at+8 {
			return
		}
		length, later := 8+8*int(b[at+1]), false
		if o.Proto == 44 {
			field := binary.BigEndian.Uint16(b[at+2:])
			o.Fragment = o.Fragment || field&0xfff9 != 0 // offset 0 and no more to come: whole, RFC 6946
			length, later = 8, field>>3 != 0
		}
		o.Proto = b[at]
		at += length
		if later || at > 255 {
			return
		}
	}
	o.L4 = at
}

// Extension reports whether an IPv6 next header is hop-by-hop, routing, fragment or destination options.
func Extension(p uint8) bool { return p == 0 || p == 43 || p == 44 || p == 60 }

// HasPorts reports whether an IP protocol has ports in its first four bytes.
func HasPorts(proto uint8) bool { return proto == TCP || proto == UDP || proto == SCTP }

// Ports returns the four bytes of the ports of a packet whose first buffer is b; nil if it has none, or not here.
func (o Outline) Ports(b []byte) []byte {
	if o.L4 == 0 || !HasPorts(o.Proto) || len(b) < o.L4+4 {
		return nil
	}
	return b[o.L4 : o.L4+4]
}
