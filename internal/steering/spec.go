package steering

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
)

// Spec is struct ethtool_rx_flow_spec (include/uapi/linux/ethtool.h at v6.18), in bytes: flow_type, h_u and h_ext, m_u and
// m_ext, 4 bytes of padding, ring_cookie, location. Numbers of packets are in network order, the others in the machine's.
type Spec = [168]byte

const (
	specValue  = 4
	specExt    = specValue + 52 // struct ethtool_flow_ext: 2 bytes, MAC, vlan_etype, vlan_tci, data
	specMask   = specExt + 20
	toMask     = specMask - specValue // from a field to its mask
	specCookie = 152
	specLoc    = 160

	extMAC  = specExt + 2
	extVLAN = specExt + 10

	flowExt    = 0x80000000 // FLOW_EXT: vlan_tci and the like count
	flowMACExt = 0x40000000
	flowRSS    = 0x20000000 // to an RSS context

	cookieDrop = 1<<64 - 1 // RX_CLS_FLOW_DISC
	cookieWake = 1<<64 - 2

	ip4Version = 1 // ETH_RX_NFC_IP4, in ip_ver of struct ethtool_usrip4_spec
)

var native = binary.NativeEndian

// layout is where the fields of a kind are in h_u; -1: it has none.
type layout struct{ src, dst, addr, srcPort, dstPort, tos, proto int }

func (r *Rule) layout() layout {
	switch r.Kind {
	case "tcp4", "udp4", "sctp4": // struct ethtool_tcpip4_spec
		return layout{0, 4, 4, 8, 10, 12, -1}
	case "ip4": // struct ethtool_usrip4_spec
		return layout{0, 4, 4, -1, -1, 12, 14}
	case "tcp6", "udp6", "sctp6": // struct ethtool_tcpip6_spec
		return layout{0, 16, 16, 32, 34, 36, -1}
	case "ip6": // struct ethtool_usrip6_spec
		return layout{0, 16, 16, -1, -1, 36, 37}
	}
	return layout{-1, -1, 0, -1, -1, -1, -1}
}

// Spec returns the rule as the kernel wants it; a Location of -1 becomes 0.
func (r Rule) Spec() (s Spec) {
	flow := kinds[r.Kind]
	wide := func(at int, f Field) {
		if at >= 0 && f.Mask != 0 {
			binary.BigEndian.PutUint16(s[at:], f.Value)
			binary.BigEndian.PutUint16(s[at+toMask:], f.Mask)
		}
	}
	narrow := func(at int, f Field) {
		if at >= 0 && f.Mask != 0 {
			s[specValue+at], s[specMask+at] = byte(f.Value), byte(f.Mask)
		}
	}
	address := func(at int, p netip.Prefix) {
		if !p.IsValid() {
			return
		}
		copy(s[specValue+at:], p.Masked().Addr().AsSlice())
		for bit := range p.Bits() {
			s[specMask+at+bit/8] |= 0x80 >> (bit % 8)
		}
	}
	hardware := func(at int, m []byte) {
		if m != nil {
			copy(s[at:], m)
			copy(s[at+toMask:], bytes.Repeat([]byte{0xff}, 6))
		}
	}
	l := r.layout()
	address(max(0, l.src), r.Src)
	address(max(0, l.dst), r.Dst)
	if l.srcPort >= 0 {
		wide(specValue+l.srcPort, r.SrcPort)
		wide(specValue+l.dstPort, r.DstPort)
	}
	narrow(l.tos, r.TOS)
	narrow(l.proto, r.Protocol)
	switch r.Kind {
	case "ip4":
		s[specValue+13] = ip4Version
	case "ether": // struct ethhdr
		hardware(specValue, r.DstMAC)
		hardware(specValue+6, r.SrcMAC)
		wide(specValue+12, r.Ether)
	}
	if r.Kind != "ether" && r.DstMAC != nil {
		flow |= flowMACExt
		hardware(extMAC, r.DstMAC)
	}
	if r.VLAN.Mask != 0 {
		flow |= flowExt
		wide(extVLAN, r.VLAN)
	}
	native.PutUint32(s[:], flow)
	cookie := uint64(r.Queue) | uint64(r.VF)<<32
	if r.Drop {
		cookie = cookieDrop
	}
	native.PutUint64(s[specCookie:], cookie)
	native.PutUint32(s[specLoc:], uint32(max(0, r.Location)))
	return s
}

// FromSpec reads what the kernel tells of a rule.
func FromSpec(s Spec) Rule {
	flow := native.Uint32(s[:])
	r := Rule{Kind: "other", Location: int(native.Uint32(s[specLoc:]))}
	for name, number := range kinds {
		if number == flow&^(flowExt|flowMACExt|flowRSS) {
			r.Kind = name
		}
	}
	switch cookie := native.Uint64(s[specCookie:]); cookie {
	case cookieDrop:
		r.Drop = true
	case cookieWake:
		r.Strange = true
	default:
		r.Queue, r.VF = int(uint32(cookie)), int(cookie>>32&0xff)
	}
	wide := func(at int) Field {
		mask := binary.BigEndian.Uint16(s[at+toMask:])
		return Field{binary.BigEndian.Uint16(s[at:]) & mask, mask}
	}
	narrow := func(at int) (f Field) {
		if at >= 0 {
			f = Field{uint16(s[specValue+at] & s[specMask+at]), uint16(s[specMask+at])}
		}
		return f
	}
	address := func(at, size int) (p netip.Prefix) {
		if at < 0 {
			return p
		}
		bits, ended := 0, false
		for i := range size * 8 {
			set := s[specMask+at+i/8]&(0x80>>(i%8)) != 0
			if set && ended {
				r.Strange = true // a mask with holes
				return p
			}
			if ended = ended || !set; set {
				bits++
			}
		}
		if a, ok := netip.AddrFromSlice(s[specValue+at : specValue+at+size]); ok && bits > 0 {
			p = netip.PrefixFrom(a, bits).Masked()
		}
		return p
	}
	hardware := func(at int) []byte {
		mask := s[at+toMask : at+toMask+6]
		if !slices.ContainsFunc(mask, func(b byte) bool { return b != 0 }) {
			return nil
		}
		if slices.ContainsFunc(mask, func(b byte) bool { return b != 0xff }) {
			r.Strange = true
		}
		return slices.Clone(s[at : at+6])
	}
	l := r.layout()
	r.Src, r.Dst = address(l.src, l.addr), address(l.dst, l.addr)
	if l.srcPort >= 0 {
		r.SrcPort, r.DstPort = wide(specValue+l.srcPort), wide(specValue+l.dstPort)
	}
	r.TOS, r.Protocol = narrow(l.tos), narrow(l.proto)
	if r.Kind == "ether" {
		r.DstMAC, r.SrcMAC, r.Ether = hardware(specValue), hardware(specValue+6), wide(specValue+12)
	}
	if flow&flowMACExt != 0 {
		r.DstMAC = hardware(extMAC)
	}
	if flow&flowExt != 0 {
		r.VLAN = wide(extVLAN)
	}
	// Whatever it has beyond that shows in what the rule would be written back as.
	again := r.Spec()
	for i := specMask; i < specMask+72; i++ {
		r.Strange = r.Strange || s[i] != again[i] && s[i] != 0
	}
	r.Strange = r.Strange || flow&flowRSS != 0 || r.Kind == "other"
	return r
}
