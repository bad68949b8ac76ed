package match

// qualifiers are the keywords in front of a value, and the values they take.
type qualifiers struct {
	kind   kind
	family uint8
	proto  uint8
	dir    dir
	word   string // host, net, port, portrange; "" takes an address or a prefix
}

const wantTerm = "want a term, like ip, tcp, vlan 5, ether type 0x88cc, host 10.0.0.1, net 10.0.0.0/8, port 80 or portrange 1-1023"

// primary reads one term: keywords and a value, keywords alone, or a value alone.
func (p *parser) primary() (*Expr, error) {
	at := p.peek()
	q := qualifiers{kind: address}
	switch {
	case at.text != "" && isValue(at.text):
		if p.last != nil {
			q = *p.last
		} else if !isAddress(at.text) {
			return nil, p.fail("a number needs a keyword before it, like port or proto")
		}
		return p.value(q)
	case p.take("ether"):
		if !p.take("type", "proto") {
			return nil, p.fail("want type and an EtherType")
		}
		return p.value(qualifiers{kind: etherType})
	case p.take("vlan"):
		if t := p.peek().text; t == "(" || t != "" && isValue(t) {
			return p.value(qualifiers{kind: vlanID})
		}
		return p.alone(term{kind: tagged}), nil
	case p.take("icmp", "icmp6"):
		n := protocols[at.text]
		if p.take("type") {
			return p.value(qualifiers{kind: icmpType, family: n.family})
		}
		return p.alone(protocolTerm(n)), p.nothingAbout(at.text)
	case p.take("ip", "ip6"):
		q.family = protocolFamily(at.text)
		return p.qualified(at, q, term{kind: etherType, lo: etherTypes[at.text], hi: etherTypes[at.text]})
	case p.take("tcp", "udp", "sctp"):
		q.proto = protocols[at.text].proto
		return p.qualified(at, q, protocolTerm(protocols[at.text]))
	}
	if t, ok := etherTypes[at.text]; ok {
		p.pos++
		return p.alone(term{kind: etherType, lo: t, hi: t}), p.nothingAbout(at.text)
	}
	if n, ok := protocols[at.text]; ok {
		p.pos++
		return p.alone(protocolTerm(n)), p.nothingAbout(at.text)
	}
	return p.qualified(token{}, q, term{})
}

// qualified reads what may follow the protocol word at (if there is one): nothing, or direction, kind and value.
func (p *parser) qualified(at token, q qualifiers, alone term) (*Expr, error) {
	directed := p.direction(&q)
	word := p.peek()
	switch {
	case p.take("host", "net"):
		q.word = word.text
		if q.proto != 0 {
			return nil, p.failAt(word, "%s is followed by port or portrange, or by and", at.text)
		}
	case p.take("port", "portrange"):
		q.kind, q.word = port, word.text
	case !directed && p.take("proto"):
		if q.proto != 0 {
			return nil, p.failAt(word, "%s is a protocol already", at.text)
		}
		q.kind = protocol
	case directed && q.proto != 0:
		return nil, p.fail("want port or portrange")
	case directed && word.text != "(" && !isAddress(word.text):
		return nil, p.fail("want host, net, port, portrange, or an address")
	case directed:
	case at.text != "":
		return p.alone(alone), p.nothingAbout(at.text)
	default:
		return nil, p.fail(wantTerm)
	}
	return p.value(q)
}

// direction reads src, dst, src or dst, src and dst.
func (p *parser) direction(q *qualifiers) bool {
	first := p.peek().text
	if !p.take("src", "dst") {
		return false
	}
	q.dir = source
	if first == "dst" {
		q.dir = destination
	}
	second := p.peekAt(1)
	if o := p.peek().text; (o == "or" || o == "and") && (second == "src" || second == "dst") && second != first {
		p.pos += 2
		q.dir = either
		if o == "and" {
			q.dir = both
		}
	}
	return true
}

// alone is a term of keywords only; a value after it starts afresh.
func (p *parser) alone(t term) *Expr {
	p.last = nil
	return &Expr{term: t}
}

// nothingAbout complains of what looks like more about a word that is a term by itself.
func (p *parser) nothingAbout(word string) error {
	switch t := p.peek().text; t {
	case "", ")", "and", "or":
		return nil
	case "host", "net", "port", "portrange", "src", "dst", "proto", "type":
		return p.fail("%s is a term by itself: want and, or, or the end", word)
	}
	return nil
}

func protocolTerm(n named) term {
	return term{kind: protocol, family: n.family, lo: uint16(n.proto), hi: uint16(n.proto)}
}

func protocolFamily(word string) uint8 {
	if word == "ip" {
		return 4
	}
	return 6
}
