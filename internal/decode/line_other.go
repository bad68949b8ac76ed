package decode

import (
	"encoding/binary"
	"net/netip"
)

// appendARP is print-arp.c for Ethernet and IPv4 (RFC 826).
func (p *Packet) appendARP(b []byte) []byte {
	if p.Cut {
		return append(b, "[|arp]"...)
	}
	a := p.Data[p.L4:]
	sender, target := netip.AddrFrom4([4]byte(a[14:18])), netip.AddrFrom4([4]byte(a[24:28]))
	switch op := binary.BigEndian.Uint16(a[6:]); {
	case binary.BigEndian.Uint16(a) != 1 || binary.BigEndian.Uint16(a[2:]) != typeIPv4 || a[4] != 6 || a[5] != 4:
		b = appendInt(append(b, "hardware type "...), int(binary.BigEndian.Uint16(a)))
		b = appendHex16(append(b, ", protocol "...), binary.BigEndian.Uint16(a[2:]))
	case op == 1:
		b = target.AppendTo(append(b, "Request who-has "...))
		if mac := [6]byte(a[18:24]); mac != ([6]byte{}) {
			b = append(appendMAC(append(b, " ("...), mac), ')')
		}
		b = sender.AppendTo(append(b, " tell "...))
	case op == 2:
		b = sender.AppendTo(append(b, "Reply "...))
		b = appendMAC(append(b, " is-at "...), [6]byte(a[8:14]))
	default:
		b = appendInt(append(b, "operation "...), int(op))
	}
	return appendInt(append(b, ", length "...), p.Payload)
}

// appendICMP is print-icmp.c for what is common (RFC 792).
func (p *Packet) appendICMP(b []byte) []byte {
	if p.IP.Payload < 8 || len(p.Data) < p.L4+8 {
		return append(b, "[|icmp]"...)
	}
	m := p.Data[p.L4:]
	b = append(b, "ICMP "...)
	switch m[0] {
	case 0, 8:
		kind := "echo request"
		if m[0] == 0 {
			kind = "echo reply"
		}
		b = appendEcho(append(b, kind...), m)
	case 3:
		b = p.appendUnreachable(b, m)
	case 11:
		b = append(b, [2]string{"time exceeded in-transit", "ip reassembly time exceeded"}[min(m[1], 1)]...)
	default:
		b = appendInt(append(b, "type "...), int(m[0]))
		b = appendInt(append(b, " code "...), int(m[1]))
	}
	return appendInt(append(b, ", length "...), p.Payload)
}

func appendEcho(b, m []byte) []byte {
	b = appendInt(append(b, ", id "...), int(binary.BigEndian.Uint16(m[4:])))
	return appendInt(append(b, ", seq "...), int(binary.BigEndian.Uint16(m[6:])))
}

// appendUnreachable says which destination could not be reached, from the packet that the message quotes.
func (p *Packet) appendUnreachable(b, m []byte) []byte {
	quoted := m[8:]
	if len(quoted) < 20 || m[1] > 13 || int(quoted[0]&15)*4 < 20 {
		return appendInt(append(b, "unreachable, code "...), int(m[1]))
	}
	dst := netip.AddrFrom4([4]byte(quoted[16:20]))
	hl := int(quoted[0]&15) * 4
	switch m[1] {
	case 0:
		return append(dst.AppendTo(append(b, "net "...)), " unreachable"...)
	case 1:
		return append(dst.AppendTo(append(b, "host "...)), " unreachable"...)
	case 3:
		if proto := quoted[9]; (proto == protoTCP || proto == protoUDP) && len(quoted) >= hl+4 {
			b = dst.AppendTo(b)
			b = append(append(append(b, ' '), protoNames[proto][0]...), " port "...)
			return append(appendInt(b, int(binary.BigEndian.Uint16(quoted[hl+2:]))), " unreachable"...)
		}
	case 4:
		b = append(dst.AppendTo(b), " unreachable - need to frag (mtu "...)
		return append(appendInt(b, int(binary.BigEndian.Uint16(m[6:]))), ')')
	case 13:
		return append(dst.AppendTo(append(b, "host "...)), " unreachable - admin prohibited filter"...)
	}
	b = dst.AppendTo(b)
	return appendInt(append(b, " unreachable, code "...), int(m[1]))
}

// names6 are ICMPv6 types (RFC 4443, 4861, 3810) as print-icmp6.c names them.
var names6 = map[byte]string{
	1: "destination unreachable", 2: "packet too big", 3: "time exceeded", 4: "parameter problem", 128: "echo request", 129: "echo reply",
	130: "multicast listener query", 131: "multicast listener report", 133: "router solicitation", 134: "router advertisement",
	135: "neighbor solicitation", 136: "neighbor advertisement", 137: "redirect", 143: "multicast listener report v2",
}

func (p *Packet) appendICMPv6(b []byte) []byte {
	if p.IP.Payload < 8 || len(p.Data) < p.L4+8 {
		return append(b, "[|icmp6]"...)
	}
	m := p.Data[p.L4:]
	b = append(b, "ICMP6, "...)
	name, ok := names6[m[0]]
	if !ok {
		b = appendInt(append(b, "type "...), int(m[0]))
		b = appendInt(append(b, " code "...), int(m[1]))
	}
	b = append(b, name...)
	switch {
	case m[0] == 128 || m[0] == 129:
		b = appendEcho(b, m)
	case m[0] == 2:
		b = appendInt(append(b, ", mtu "...), int(binary.BigEndian.Uint32(m[4:])))
	case m[0] == 135 && len(m) >= 24:
		b = netip.AddrFrom16([16]byte(m[8:24])).AppendTo(append(b, ", who has "...))
	case m[0] == 136 && len(m) >= 24:
		b = netip.AddrFrom16([16]byte(m[8:24])).AppendTo(append(b, ", tgt is "...))
	}
	return appendInt(append(b, ", length "...), p.Payload)
}
