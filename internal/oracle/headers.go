package oracle

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"xrx/internal/frames"
)

// headers says where a frame's headers are, bytes from its start; 0 = there is none. It trusts lengths only as far as
// the frame goes.
type headers struct {
	vlan      int // first tag's TCI
	outer, l3 int
	l4        int
	proto     uint8 // at l4
}

func (h headers) outerV6(b []byte) bool { return b[h.outer]>>4 == 6 }
func (h headers) v6(b []byte) bool      { return b[h.l3]>>4 == 6 }

// headersOf finds them. ok is false where the frame is not TCP or UDP over IP down to a whole L4 header.
func headersOf(b []byte) (h headers, ok bool) {
	at := 14
	if len(b) < at {
		return h, false
	}
	etype := binary.BigEndian.Uint16(b[12:])
	for etype == frames.TypeVLAN || etype == frames.TypeQinQ {
		if len(b) < at+4 {
			return h, false
		}
		if h.vlan == 0 {
			h.vlan = at
		}
		etype = binary.BigEndian.Uint16(b[at+2:])
		at += 4
	}
	if etype != frames.TypeIPv4 && etype != frames.TypeIPv6 {
		return h, false
	}
	for {
		h.l3 = at
		switch {
		case len(b) >= at+20 && b[at]>>4 == 4 && b[at]&15 >= 5:
			if binary.BigEndian.Uint16(b[at+6:])&0x1fff != 0 {
				return h, false
			}
			h.proto = b[at+9]
			at += int(b[at]&15) * 4
		case len(b) >= at+40 && b[at]>>4 == 6:
			h.proto = b[at+6]
			at += 40
			for h.proto == frames.ExtHopByHop || h.proto == frames.ExtRouting || h.proto == frames.ExtDestOpts {
				if len(b) < at+8 {
					return h, false
				}
				h.proto, at = b[at], at+8+int(b[at+1])*8
			}
		default:
			return h, false
		}
		h.l4 = at
		switch h.proto {
		case frames.ProtoTCP:
			return h, len(b) >= at+20
		case frames.ProtoUDP:
			return h, len(b) >= at+8
		case 4, 41:
			if h.outer != 0 {
				return h, false
			}
			h.outer = h.l3
		default:
			return h, false
		}
	}
}

// Describe returns what decides about merging, in a line.
func Describe(b []byte) string {
	h, ok := headersOf(b)
	if !ok {
		return fmt.Sprintf("%d bytes, no TCP or UDP header", len(b))
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%d bytes", len(b))
	if h.vlan != 0 {
		fmt.Fprintf(&s, " vlan %04x", binary.BigEndian.Uint16(b[h.vlan:]))
	}
	for _, l3 := range []int{h.outer, h.l3} {
		switch {
		case l3 == 0:
		case b[l3]>>4 == 4:
			fmt.Fprintf(&s, " ip4 len %d tos %02x id %d frag %04x ttl %d", binary.BigEndian.Uint16(b[l3+2:]), b[l3+1],
				binary.BigEndian.Uint16(b[l3+4:]), binary.BigEndian.Uint16(b[l3+6:]), b[l3+8])
		default:
			fmt.Fprintf(&s, " ip6 len %d class+label %07x next %d hop %d", binary.BigEndian.Uint16(b[l3+4:]),
				binary.BigEndian.Uint32(b[l3:])&0xfffffff, b[l3+6], b[l3+7])
		}
	}
	l4 := b[h.l4:]
	sport, dport := binary.BigEndian.Uint16(l4), binary.BigEndian.Uint16(l4[2:])
	if h.proto == frames.ProtoUDP {
		fmt.Fprintf(&s, " udp %d>%d len %d", sport, dport, binary.BigEndian.Uint16(l4[4:]))
		return s.String()
	}
	flags := ""
	for i, c := range "FSRPAUEC" {
		if l4[13]>>i&1 != 0 {
			flags += string(c)
		}
	}
	hl := int(l4[12]>>4) * 4
	fmt.Fprintf(&s, " tcp %d>%d seq %d ack %d %s win %d options %d payload %d", sport, dport, binary.BigEndian.Uint32(l4[4:]),
		binary.BigEndian.Uint32(l4[8:]), flags, binary.BigEndian.Uint16(l4[14:]), hl-20, len(l4)-hl)
	return s.String()
}

// addresses returns the inner IP header's.
func addresses(b []byte, h headers) (src, dst netip.Addr) {
	at, n := h.l3+12, 4
	if h.v6(b) {
		at, n = h.l3+8, 16
	}
	src, _ = netip.AddrFromSlice(b[at : at+n])
	dst, _ = netip.AddrFromSlice(b[at+n : at+2*n])
	return src, dst
}
