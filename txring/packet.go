package txring

import (
	"encoding/binary"

	"xrx/internal/csum"
	"xrx/umem"
)

// Ethernet, IEEE 802.3 and 802.1Q.
const (
	ethLen   = 14
	tagLen   = 4
	typeIPv4 = 0x0800
	typeIPv6 = 0x86dd
	typeVLAN = 0x8100
	typeQinQ = 0x88a8
)

const (
	protoTCP = 6
	protoUDP = 17
)

var be, ne = binary.BigEndian, binary.NativeEndian

func swapMAC(b []byte) {
	var m [6]byte
	copy(m[:], b)
	copy(b, b[6:12])
	copy(b[6:12], m[:])
}

// linkLen returns the bytes in front of what the EtherType names: Ethernet header and at most two tags.
func linkLen(b []byte) int {
	n := ethLen
	for n < ethLen+2*tagLen && len(b) >= n+tagLen && isTag(be.Uint16(b[n-2:])) {
		n += tagLen
	}
	return n
}

func isTag(t uint16) bool { return t == typeVLAN || t == typeQinQ }

// tag puts the VLAN tag back that the device took off, into the headroom: the MACs move forward.
func (s *Sender) tag(h *umem.Header, m umem.Meta) bool {
	if !s.u.Prepend(h, tagLen) {
		return false
	}
	b := h.Bytes()
	copy(b, b[tagLen:tagLen+12])
	tpid := uint16(typeVLAN)
	if m.Flags&umem.VLANAD != 0 {
		tpid = typeQinQ
	}
	be.PutUint16(b[12:], tpid)
	be.PutUint16(b[14:], m.VLANTCI)
	s.Stats.Tags++
	return true
}

// complete writes the real TCP or UDP checksum where there is only the sum of the pseudo-header: what a sender on this
// machine leaves to its NIC (CHECKSUM_PARTIAL), over veth, which computes none. Other packets are not written; the one
// intact packet in 65536 that looks partial gets the checksum that it has.
func (s *Sender) complete(h *umem.Header, b []byte, size int) {
	l4, n, proto, pseudo, ok := transport(b, size)
	if !ok {
		return
	}
	at := l4 + 16
	if proto == protoUDP {
		at = l4 + 6
	}
	if at+2 > len(b) || ne.Uint16(b[at:]) != pseudo {
		return
	}
	ne.PutUint16(b[at:], 0)
	c := ^csum.Add(pseudo, s.sum(h, b, l4, n))
	if c == 0 && proto == protoUDP { // RFC 768
		c = 0xffff
	}
	ne.PutUint16(b[at:], c)
	s.Stats.Checksums++
}

// transport finds the TCP or UDP header of a packet of size bytes whose first buffer is b, the bytes n from there to
// the end of the datagram, and the sum of its pseudo-header. Fragments have no checksum of their own.
func transport(b []byte, size int) (l4, n int, proto uint8, pseudo uint16, ok bool) {
	l3 := linkLen(b)
	ip := b[l3:]
	switch be.Uint16(b[l3-2:]) {
	case typeIPv4:
		if len(ip) < 20 || ip[0]>>4 != 4 || ip[0]&15 < 5 || be.Uint16(ip[6:])&0x3fff != 0 {
			return 0, 0, 0, 0, false
		}
		hl := int(ip[0]&15) * 4
		l4, n, proto = l3+hl, int(be.Uint16(ip[2:]))-hl, ip[9]
	case typeIPv6:
		if len(ip) < 40 || ip[0]>>4 != 6 {
			return 0, 0, 0, 0, false
		}
		l4, n, proto = l3+40, int(be.Uint16(ip[4:])), ip[6]
		for proto == 0 || proto == 60 { // hop-by-hop and destination options (RFC 8200)
			if len(b) < l4+8 {
				return 0, 0, 0, 0, false
			}
			hl := 8 + int(b[l4+1])*8
			proto = b[l4]
			l4, n = l4+hl, n-hl
		}
	default:
		return 0, 0, 0, 0, false
	}
	least := 20
	if proto == protoUDP {
		least = 8
	}
	if proto != protoTCP && proto != protoUDP || n < least || l4+n > size {
		return 0, 0, 0, 0, false
	}
	if ip[0]>>4 == 4 {
		return l4, n, proto, csum.PseudoIPv4(ip[12:], ip[16:], proto, n), true
	}
	return l4, n, proto, csum.PseudoIPv6(ip[8:], ip[24:], proto, n), true
}

// sum adds up n bytes at off of a packet over its buffers, b being the first.
func (s *Sender) sum(h *umem.Header, b []byte, off, n int) uint16 {
	total, odd := uint16(0), false
	b = b[off:]
	for {
		b = b[:min(n, len(b))]
		t := csum.Sum(b)
		if odd {
			t = csum.Swap(t)
		}
		total = csum.Add(total, t)
		odd = odd != (len(b)&1 != 0)
		if n -= len(b); n == 0 {
			return total
		}
		h = s.u.Deref(h.Seg)
		b = h.Bytes()
	}
}
