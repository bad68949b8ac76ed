package xrx

import (
	"errors"
	"fmt"
	"sync"
	"xrx/internal/headers"
)

// Mux is a Consumer that gives each packet to the handler that asked for its kind: what packet_type and inet_protos
// handlers are to the kernel. The most specific one gets it:
//
//	TCP(port), UDP(port)   the destination port, else the source port
//	Port(port)             the same, of TCP, UDP and SCTP
//	Proto(number)          the IP protocol, behind IPv6 extension headers; all fragments
//	EtherType(type)        behind at most two VLAN tags
//	Default                everything else; without it packets are released, and counted as "unclaimed"
//
// A tap sees every packet, before its handler. Register everything before Run; the zero value is ready. One Mux may be
// the consumer of several queues and receivers: then a handler is called from several goroutines.
type Mux struct {
	mu       sync.Mutex
	err      error // of the first registration that was refused
	running  bool  // in use by a Run: nothing can be registered any more
	names    []string
	handlers []Handler // by number; number 0 has nobody
	routes   map[route]uint16
	taps     []*Tap
	table    *routes // made of all that
}

// route is what a handler can ask for.
type route struct {
	kind routeKind
	n    uint16
}

type routeKind uint8

const (
	toDefault routeKind = iota
	toEtherType
	toProto
	toPort // any of the three protocols that have ports
	toTCP
	toUDP
)

func (r route) String() string {
	switch r.kind {
	case toEtherType:
		return fmt.Sprintf("ethertype %#04x", r.n)
	case toDefault:
		return "default"
	}
	return fmt.Sprintf("%s %d", [...]string{toProto: "proto", toPort: "port", toTCP: "tcp port", toUDP: "udp port"}[r.kind], r.n)
}

// unclaimed is the name that packets without a handler are counted under.
const unclaimed = "unclaimed"

// EtherType registers a handler for packets of an EtherType, 0x600 and up. It is counted as "ethertype 0x0806".
func (m *Mux) EtherType(t uint16, h Handler) error {
	if t < 0x600 {
		return m.refuse(fmt.Errorf("xrx: mux: %#04x is an 802.3 length, not an EtherType: those begin at 0x0600", t))
	}
	if t == 0x8100 || t == 0x88a8 {
		return m.refuse(fmt.Errorf("xrx: mux: EtherType %#04x is that of a VLAN tag: handlers are chosen by what is behind tags (Meta has the tag)", t))
	}
	return m.add(route{toEtherType, t}, h)
}

// Proto registers a handler for an IP protocol, IPv4 and IPv6. It is counted as "proto 17".
func (m *Mux) Proto(number uint8, h Handler) error {
	if headers.Extension(number) {
		return m.refuse(fmt.Errorf("xrx: mux: %d is an IPv6 extension header: handlers are chosen by the protocol behind those", number))
	}
	return m.add(route{toProto, uint16(number)}, h)
}

// Port registers a handler for packets of TCP, UDP or SCTP to this port, or from it if nobody asked for the destination
// port. It is counted as "port 53".
func (m *Mux) Port(port uint16, h Handler) error { return m.add(route{toPort, port}, h) }

// TCP is Port for TCP alone, and comes before it. It is counted as "tcp port 443".
func (m *Mux) TCP(port uint16, h Handler) error { return m.add(route{toTCP, port}, h) }

// UDP is Port for UDP alone, and comes before it. It is counted as "udp port 53".
func (m *Mux) UDP(port uint16, h Handler) error { return m.add(route{toUDP, port}, h) }

// Default registers the handler of packets that no other one asked for. It is counted as "default".
func (m *Mux) Default(h Handler) error { return m.add(route{kind: toDefault}, h) }

func (m *Mux) add(r route, h Handler) error {
	m.mu.Lock()
	_, taken := m.routes[r]
	running := m.running
	m.mu.Unlock()
	switch {
	case running:
		return fmt.Errorf("xrx: mux: %v: register before Run: it is in use", r)
	case h == nil:
		return m.refuse(fmt.Errorf("xrx: mux: %v: the handler is nil", r))
	case taken:
		return m.refuse(fmt.Errorf("xrx: mux: %v has a handler already: one handler can call two, and a tap sees everything", r))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.routes == nil {
		m.routes, m.names, m.handlers = map[route]uint16{}, []string{unclaimed}, []Handler{func(Packet) {}}
	}
	m.routes[r] = uint16(len(m.handlers))
	m.names, m.handlers = append(m.names, r.String()), append(m.handlers, h)
	return nil
}

// refuse keeps the first error: Run returns it, for callers that did not look.
func (m *Mux) refuse(err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = err
	}
	return err
}

// use makes the tables, and closes the registration. It returns what was wrong with that, if anything.
func (m *Mux) use() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	if len(m.routes) == 0 && len(m.taps) == 0 {
		return errors.New("xrx: mux: nothing is registered: every packet would be dropped")
	}
	m.running = true
	if m.table == nil {
		m.table = newRoutes(m)
	}
	return nil
}

// tapping returns the taps, in the order that they see packets.
func (m *Mux) tapping() []*Tap {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.taps
}

func (*Mux) consumer() {}
