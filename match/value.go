package match

import (
	"net/netip"
	"strconv"
	"strings"
)

// isValue: what begins with a digit, or has a colon, is no keyword.
func isValue(s string) bool { return s[0] >= '0' && s[0] <= '9' || strings.Contains(s, ":") }

func isAddress(s string) bool { return s != "" && isValue(s) && strings.ContainsAny(s, ".:") }

// value reads the value that q's keywords are about, or several in parentheses.
func (p *parser) value(q qualifiers) (*Expr, error) {
	p.last = &q
	if opened := p.peek(); p.take("(") {
		return p.values(q, opened)
	}
	t := term{kind: q.kind, family: q.family, proto: q.proto, dir: q.dir}
	var err error
	switch q.kind {
	case address:
		err = p.address(&t, q.word)
	case etherType:
		err = p.number(&t, 0xffff, false, "an EtherType, like 0x0806, ip, ip6, arp or lldp")
	case vlanID:
		err = p.number(&t, 4095, false, "a VLAN id from 0 to 4095")
	case protocol:
		err = p.number(&t, 255, false, "an IP protocol, like 6, tcp or udp")
	case icmpType:
		err = p.number(&t, 255, true, "an ICMP type from 0 to 255, or a range like 133-137")
	case port:
		if q.word == "portrange" {
			err = p.number(&t, 0xffff, true, "a range of ports, like 8000-8999")
		} else {
			err = p.number(&t, 0xffff, false, "a port from 0 to 65535")
		}
	}
	if err != nil {
		return nil, err
	}
	return &Expr{term: t}, nil
}

// values reads the rest of a list of values: port (80 or 443).
func (p *parser) values(q qualifiers, opened token) (*Expr, error) {
	var list *Expr
	for {
		if t := p.peek().text; t == "" || !isValue(t) && q.kind != etherType && q.kind != protocol {
			return nil, p.fail("want a value for the keywords before the ( at %d", opened.at+1)
		}
		e, err := p.value(q)
		if err != nil {
			return nil, err
		}
		if list == nil {
			list = e
		} else {
			list = join(or, list, e)
		}
		switch {
		case p.take(")"):
			return list, nil
		case !p.take("or"):
			return nil, p.fail("want or, or ) for the ( at %d", opened.at+1)
		}
		if err := p.count(); err != nil {
			return nil, err
		}
	}
}

// number reads a number up to most, or where ranges are allowed two with a dash between.
func (p *parser) number(t *term, most uint64, ranges bool, want string) error {
	at := p.peek()
	name := at.text
	if n, ok := etherTypes[name]; ok && t.kind == etherType {
		t.lo, t.hi = n, n
		p.pos++
		return nil
	}
	if n, ok := protocols[name]; ok && t.kind == protocol {
		if t.family != 0 && n.family != 0 && t.family != n.family {
			return p.fail("%s is no protocol of IPv%d", name, t.family)
		}
		t.lo, t.hi = uint16(n.proto), uint16(n.proto)
		p.pos++
		return nil
	}
	low, high, isRange := strings.Cut(at.text, "-")
	lo, err := parseNumber(low)
	hi := lo
	if err == nil && isRange {
		hi, err = parseNumber(high)
	}
	switch {
	case err != nil || lo > most || hi > most || isRange && !ranges:
		return p.fail("want %s", want)
	case lo > hi:
		return p.fail("the range is the wrong way round: want %d-%d", hi, lo)
	}
	t.lo, t.hi = uint16(lo), uint16(hi)
	p.pos++
	return nil
}

// parseNumber takes decimal and, with 0x, hexadecimal.
func parseNumber(s string) (uint64, error) {
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		return strconv.ParseUint(hex, 16, 16)
	}
	return strconv.ParseUint(s, 10, 16)
}

// address reads an address where word is host, a prefix where it is net, either where it is neither.
func (p *parser) address(t *term, word string) error {
	text := p.peek().text
	var err error
	switch {
	case word == "net" && !strings.Contains(text, "/"):
		return p.fail("want a prefix, like 10.0.0.0/8 or 2001:db8::/32")
	case word == "host" || !strings.Contains(text, "/"):
		var a netip.Addr
		if a, err = netip.ParseAddr(text); err != nil || a.Zone() != "" {
			return p.fail("want an address, like 10.0.0.1 or 2001:db8::1 (names are not looked up, zones are not known)")
		}
		t.prefix = netip.PrefixFrom(a, a.BitLen())
	default:
		if t.prefix, err = netip.ParsePrefix(text); err != nil {
			return p.fail("want a prefix, like 10.0.0.0/8 or 2001:db8::/32")
		}
		if m := t.prefix.Masked(); m != t.prefix {
			return p.fail("there are bits behind the prefix: want %v", m)
		}
	}
	family := familyOf(t.prefix.Addr())
	if t.family != 0 && t.family != family {
		return p.fail("want an address of IPv%d", t.family)
	}
	t.family = family
	p.pos++
	return nil
}
