package match

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// facts are what there is to know about a packet: what the XDP program's parser finds, read a second time, for clarity
// and not for speed.
type facts struct {
	etherType uint16
	vlans     []uint16 // ids, outermost first
	family    uint8    // 4, 6, or 0: not IP, or malformed
	proto     uint8
	src, dst  netip.Addr
	l4        []byte // from the L4 header on; nil: not in this packet, or not in reach
}

// look reads a packet from its Ethernet header on.
func look(packet []byte) (f facts) {
	if len(packet) < 14 {
		return f
	}
	f.etherType = binary.BigEndian.Uint16(packet[12:])
	rest := packet[14:]
	for len(f.vlans) < 2 && len(rest) >= 4 && (f.etherType == 0x8100 || f.etherType == 0x88a8) {
		f.vlans = append(f.vlans, binary.BigEndian.Uint16(rest)&0xfff)
		f.etherType = binary.BigEndian.Uint16(rest[2:])
		rest = rest[4:]
	}
	switch {
	case f.etherType == typeIPv4 && len(rest) >= 20 && rest[0]>>4 == 4 && rest[0]&15 >= 5:
		f.ipv4(rest)
	case f.etherType == typeIPv6 && len(rest) >= 40 && rest[0]>>4 == 6:
		f.ipv6(rest, len(packet)-len(rest))
	}
	if len(f.l4) < 4 {
		f.l4 = nil
	}
	return f
}

func (f *facts) ipv4(ip []byte) {
	f.family, f.proto = 4, ip[9]
	f.src, _ = netip.AddrFromSlice(ip[12:16])
	f.dst, _ = netip.AddrFromSlice(ip[16:20])
	if binary.BigEndian.Uint16(ip[6:])&0x1fff == 0 { // the first fragment, or the only one
		f.l4 = ip[min(len(ip), int(ip[0]&15)*4):]
	}
}

// ipv6 also walks the extension headers: hop-by-hop 0, routing 43, fragment 44, destination 60. before is what precedes
// the IP header.
func (f *facts) ipv6(ip []byte, before int) {
	f.family, f.proto = 6, ip[6]
	f.src, _ = netip.AddrFromSlice(ip[8:24])
	f.dst, _ = netip.AddrFromSlice(ip[24:40])
	extension := func() bool { return slices.Contains([]uint8{0, 43, 44, 60}, f.proto) }
	at := 40
	for n := 0; n < 8 && extension(); n++ {
		if len(ip) < at+8 {
			return
		}
		length := 8 + 8*int(ip[at+1])
		if f.proto == 44 {
			length = 8
		}
		later := f.proto == 44 && binary.BigEndian.Uint16(ip[at+2:])>>3 != 0
		f.proto = ip[at]
		at += length
		if later || before+at > 255 {
			return
		}
	}
	if !extension() && f.proto != 59 {
		f.l4 = ip[min(len(ip), at):]
	}
}

func (f *facts) hasPorts() bool {
	return f.l4 != nil && (f.proto == protoTCP || f.proto == protoUDP || f.proto == protoSCTP)
}
