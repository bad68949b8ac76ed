package match

import (
	"encoding/binary"
	"slices"
)

// Match decides about a packet, its bytes from the Ethernet header on, as the compiled program does; of a packet in
// several buffers the program sees the first.
func (e *Expr) Match(packet []byte) bool {
	f := look(packet)
	return e.holds(&f)
}

func (e *Expr) holds(f *facts) bool {
	if e == nil {
		return true
	}
	holds := func(k *Expr) bool { return k.holds(f) }
	switch e.op {
	case not:
		return !e.kids[0].holds(f)
	case or:
		return slices.ContainsFunc(e.kids, holds)
	case and:
		return !slices.ContainsFunc(e.kids, func(k *Expr) bool { return !holds(k) })
	}
	return e.term.holds(f)
}

func (t term) holds(f *facts) bool {
	in := func(n uint16) bool { return t.lo <= n && n <= t.hi }
	ofFamily := f.family != 0 && (t.family == 0 || t.family == f.family)
	switch t.kind {
	case etherType:
		return in(f.etherType)
	case tagged:
		return len(f.vlans) > 0
	case vlanID:
		return slices.ContainsFunc(f.vlans, in)
	case protocol:
		return ofFamily && in(uint16(f.proto))
	case address:
		return ofFamily && t.dir.holds(t.prefix.Contains(f.src), t.prefix.Contains(f.dst))
	case icmpType:
		return ofFamily && f.proto == icmpOf(t.family) && f.l4 != nil && in(uint16(f.l4[0]))
	}
	if !ofFamily || !f.hasPorts() || t.proto != 0 && t.proto != f.proto {
		return false
	}
	return t.dir.holds(in(binary.BigEndian.Uint16(f.l4)), in(binary.BigEndian.Uint16(f.l4[2:])))
}

func (d dir) holds(src, dst bool) bool {
	switch d {
	case source:
		return src
	case destination:
		return dst
	case both:
		return src && dst
	}
	return src || dst
}
