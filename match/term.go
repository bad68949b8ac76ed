package match

import (
	"fmt"
	"net/netip"
	"strconv"
)

// term is one question to a packet.
type term struct {
	kind   kind
	family uint8 // 4, 6; 0: either
	proto  uint8 // of a port: 0 is any protocol with ports
	dir    dir
	lo, hi uint16 // a number, or a range of them
	prefix netip.Prefix
}

type kind uint8

const (
	etherType kind = iota
	tagged         // has a VLAN tag
	vlanID
	protocol
	address
	port
	icmpType
)

type dir uint8

const (
	either dir = iota
	source
	destination
	both
)

func (d dir) String() string { return [...]string{"", "src ", "dst ", "src and dst "}[d] }

const (
	typeIPv4 = 0x0800
	typeIPv6 = 0x86dd

	protoICMP  = 1
	protoTCP   = 6
	protoUDP   = 17
	protoICMP6 = 58
	protoSCTP  = 132
)

// etherTypes are the types with names of their own.
var etherTypes = map[string]uint16{"ip": typeIPv4, "ip6": typeIPv6, "arp": 0x0806, "rarp": 0x8035, "lldp": 0x88cc}

// named is a protocol with a name, and the IP version it belongs to; 0: both.
type named struct{ family, proto uint8 }

var protocols = map[string]named{
	"icmp": {4, protoICMP}, "igmp": {4, 2}, "tcp": {0, protoTCP}, "udp": {0, protoUDP}, "gre": {0, 47}, "esp": {0, 50},
	"ah": {0, 51}, "icmp6": {6, protoICMP6}, "ospf": {0, 89}, "pim": {0, 103}, "vrrp": {0, 112}, "sctp": {0, protoSCTP},
}

func nameOfType(t uint16) string {
	for name, typ := range etherTypes {
		if typ == t {
			return name
		}
	}
	return ""
}

func nameOfProtocol(p named) string {
	for name, q := range protocols {
		if p == q {
			return name
		}
	}
	return ""
}

func (t term) String() string {
	switch t.kind {
	case etherType:
		if name := nameOfType(t.lo); name != "" {
			return name
		}
		return fmt.Sprintf("ether type 0x%04x", t.lo)
	case tagged:
		return "vlan"
	case vlanID:
		return fmt.Sprintf("vlan %d", t.lo)
	case protocol:
		if name := nameOfProtocol(named{t.family, uint8(t.lo)}); name != "" {
			return name
		}
		return fmt.Sprintf("%sproto %d", familyWord(t.family), t.lo)
	case address:
		if t.prefix.IsSingleIP() {
			return t.dir.String() + "host " + t.prefix.Addr().String()
		}
		return t.dir.String() + "net " + t.prefix.String()
	case icmpType:
		return nameOfProtocol(named{t.family, icmpOf(t.family)}) + " type " + t.numbers()
	}
	s := familyWord(t.family) + t.dir.String()
	if t.proto != 0 {
		s = nameOfProtocol(named{0, t.proto}) + " " + t.dir.String()
	}
	if t.lo == t.hi {
		return s + "port " + t.numbers()
	}
	return s + "portrange " + t.numbers()
}

func (t term) numbers() string {
	if t.lo == t.hi {
		return strconv.Itoa(int(t.lo))
	}
	return fmt.Sprintf("%d-%d", t.lo, t.hi)
}

func familyWord(f uint8) string { return map[uint8]string{4: "ip ", 6: "ip6 "}[f] }

func icmpOf(family uint8) uint8 {
	if family == 4 {
		return protoICMP
	}
	return protoICMP6
}

// familyOf is the IP version of an address; an IPv4 address written as IPv6 stays an IPv6 one.
func familyOf(a netip.Addr) uint8 {
	if a.Is4() {
		return 4
	}
	return 6
}
