package decode

import "strconv"

// protoNames are the IP protocols that get a name in JSON (proto, with the IP version behind it) and in lines.
var protoNames = map[uint8][2]string{
	1: {"icmp", "ICMP"}, 2: {"igmp", "igmp"}, 4: {"ipip", "ip-proto-4"}, 6: {"tcp", "tcp"}, 17: {"udp", "udp"}, 41: {"ip6ip", "ip-proto-41"},
	47: {"gre", "gre"}, 50: {"esp", "esp"}, 51: {"ah", "ah"}, 58: {"icmp", "ICMP6"}, 59: {"none", "no next header"}, 89: {"ospf", "ospf"},
	103: {"pim", "pim"}, 112: {"vrrp", "vrrp"}, 132: {"sctp", "sctp"},
}

// AppendProto appends what kind of packet it is: tcp4 tcp6 udp4 udp6 icmp4 icmp6 arp, other IP protocols by name or
// number with the version behind them (esp4, ip132-6), other EtherTypes as 0x88cc, 802.3 frames as llc, and "short"
// for less than an Ethernet header.
func (p *Packet) AppendProto(b []byte) []byte {
	switch {
	case p.Layer == LayerNone:
		return append(b, "short"...)
	case p.Layer == LayerARP:
		return append(b, "arp"...)
	case p.IP.Version != 0:
		version := '0' + p.IP.Version
		if n, ok := protoNames[p.IP.Proto]; ok && !(p.IP.Proto == protoICMP && version == '6') && !(p.IP.Proto == protoICMPv6 && version == '4') {
			return append(append(b, n[0]...), version)
		}
		b = strconv.AppendUint(append(b, "ip"...), uint64(p.IP.Proto), 10)
		return append(b, '-', version)
	case p.EtherType < 0x600:
		return append(b, "llc"...)
	}
	return appendHex16(b, p.EtherType)
}

// appendHex16 appends 0x0800 and the like.
func appendHex16(b []byte, v uint16) []byte {
	const digits = "0123456789abcdef"
	return append(b, '0', 'x', digits[v>>12], digits[v>>8&15], digits[v>>4&15], digits[v&15])
}

// flagLetters are the TCP flags as tcpdump prints them, in its order (print-tcp.c, tcp_flag_values).
var flagLetters = [8]struct {
	bit    uint8
	letter byte
}{{1, 'F'}, {2, 'S'}, {4, 'R'}, {8, 'P'}, {16, '.'}, {32, 'U'}, {64, 'E'}, {128, 'W'}}

// AppendFlags appends the TCP flags as tcpdump does: "S.", "P.", "none".
func (p *Packet) AppendFlags(b []byte) []byte {
	if p.Flags == 0 {
		return append(b, "none"...)
	}
	for _, f := range flagLetters {
		if p.Flags&f.bit != 0 {
			b = append(b, f.letter)
		}
	}
	return b
}
