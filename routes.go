package xrx

import (
	"slices"
	"xrx/internal/headers"
)

// routes is a Mux's lookup, made once: dense by protocol, dense by the halves of a port, and a sorted list of the few
// EtherTypes beside IP. Nothing in it changes, so goroutines share it. Values are handlers' numbers; 0 is "none".
type routes struct {
	names    []string
	handlers []Handler
	fallback uint16
	ipv4     uint16 // EtherType 0x0800
	ipv6     uint16 // EtherType 0x86dd
	types    []uint16
	typeTo   []uint16 // beside types
	protos   [256]uint16
	tcp, udp ports
	sctp     ports
}

// ports finds a port's handler with two loads: page is by its high byte, 0 for "nobody there".
type ports struct {
	any   bool
	page  [256]uint16
	pages [][256]uint16
}

func (p *ports) set(port, to uint16) {
	if !p.any {
		p.any, p.pages = true, make([][256]uint16, 1)
	}
	at := &p.page[port>>8]
	if *at == 0 {
		*at = uint16(len(p.pages))
		p.pages = append(p.pages, [256]uint16{})
	}
	p.pages[*at][port&255] = to
}

func (p *ports) of(port uint16) uint16 { return p.pages[p.page[port>>8]][port&255] }

func newRoutes(m *Mux) *routes {
	t := &routes{names: []string{unclaimed}, handlers: []Handler{func(Packet) {}}}
	if m.routes != nil {
		t.names, t.handlers = m.names, m.handlers
	}
	for r, to := range m.routes {
		switch r.kind {
		case toDefault:
			t.fallback = to
		case toEtherType:
			switch r.n {
			case 0x0800:
				t.ipv4 = to
			case 0x86dd:
				t.ipv6 = to
			default:
				t.types = append(t.types, r.n)
			}
		case toProto:
			t.protos[r.n] = to
		case toPort:
			for _, p := range []struct {
				ports *ports
				own   routeKind
			}{{&t.tcp, toTCP}, {&t.udp, toUDP}, {&t.sctp, toDefault}} {
				if _, other := m.routes[route{p.own, r.n}]; !other || p.own == toDefault {
					p.ports.set(r.n, to)
				}
			}
		case toTCP:
			t.tcp.set(r.n, to)
		case toUDP:
			t.udp.set(r.n, to)
		}
	}
	slices.Sort(t.types)
	for _, n := range t.types {
		t.typeTo = append(t.typeTo, m.routes[route{toEtherType, n}])
	}
	return t
}

// find returns the number of the handler of a packet, 0 if there is none.
func (t *routes) find(l layers) uint16 {
	if l.known {
		p := &t.sctp
		switch l.proto {
		case headers.TCP:
			p = &t.tcp
		case headers.UDP:
			p = &t.udp
		}
		if p.any {
			if to := p.of(uint16(l.ports)); to != 0 {
				return to
			}
			if to := p.of(uint16(l.ports >> 16)); to != 0 {
				return to
			}
		}
	}
	if to := t.protos[l.proto]; to != 0 { // number 0 can't be registered
		return to
	}
	if to := t.byType(l.etherType); to != 0 {
		return to
	}
	return t.fallback
}

func (t *routes) byType(n uint16) uint16 {
	switch n {
	case 0x0800:
		return t.ipv4
	case 0x86dd:
		return t.ipv6
	}
	if i, ok := slices.BinarySearch(t.types, n); ok {
		return t.typeTo[i]
	}
	return 0
}
