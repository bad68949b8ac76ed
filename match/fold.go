package match

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// shape is what is known of a packet where its kind of packet has code of its own. An expression is folded for each
// shape: what it says about other packets is gone, and what is left tests the packet's bytes and nothing else.
type shape struct {
	family uint8
	l4     l4kind
}

type l4kind uint8

const (
	opaque l4kind = iota // no L4 header, or of no interest
	ports                // TCP, UDP or SCTP with ports
	icmp                 // ICMP or ICMPv6 with its type
)

// tree is an expression of tests.
type tree struct {
	op   op
	kids []*tree
	test test // of a leaf
}

// test compares one field.
type test struct {
	field  field
	mask   uint64   // laid over the field first; 0: none
	lo, hi uint64   // the range of values that hold
	bits   uint64   // not 0: instead, any of these bits
	set    []uint64 // not nil: instead, any of these values, in order
}

// always and never are the trees without a test, told from others by their addresses.
var always, never = &tree{}, &tree{}

func constant(b bool) *tree {
	if b {
		return always
	}
	return never
}

func (e *Expr) fold(s shape) *tree {
	switch e.op {
	case leaf:
		return e.term.fold(s)
	case not:
		return negated(e.kids[0].fold(s))
	}
	kids := make([]*tree, len(e.kids))
	for i, k := range e.kids {
		kids[i] = k.fold(s)
	}
	return joined(e.op, kids...)
}

func negated(t *tree) *tree {
	switch {
	case t == always || t == never:
		return constant(t == never)
	case t.op == not:
		return t.kids[0]
	}
	return &tree{op: not, kids: []*tree{t}}
}

// joined makes an and or an or without constants in it. Tests come before trees, and those of one field together: a
// field is then loaded once, and nothing has side effects.
func joined(o op, kids ...*tree) *tree {
	neutral, decisive := never, always
	if o == and {
		neutral, decisive = always, never
	}
	var list []*tree
	for _, k := range kids {
		switch {
		case k == decisive:
			return decisive
		case k == neutral:
		case k.op == o:
			list = append(list, k.kids...)
		default:
			list = append(list, k)
		}
	}
	if o == or {
		list = factored(list)
	}
	switch len(list) {
	case 0:
		return neutral
	case 1:
		return list[0]
	}
	slices.SortStableFunc(list, func(a, b *tree) int {
		return cmp.Or(cmp.Compare(min(a.op, 1), min(b.op, 1)), cmp.Compare(a.test.field, b.test.field), cmp.Compare(a.test.mask, b.test.mask))
	})
	t := &tree{op: o, kids: list}
	if o == or {
		return t.gather()
	}
	return t
}

func equals(f field, v uint64) *tree { return &tree{test: test{field: f, lo: v, hi: v}} }

func within(f field, lo, hi uint64) *tree {
	if lo == 0 && hi == f.most() {
		return always
	}
	return &tree{test: test{field: f, lo: lo, hi: hi}}
}

func (t term) fold(s shape) *tree {
	ofFamily := s.family != 0 && (t.family == 0 || t.family == s.family)
	switch t.kind {
	case etherType:
		if s.family != 0 {
			return constant(t.lo == map[uint8]uint16{4: typeIPv4, 6: typeIPv6}[s.family])
		}
		return equals(fType, uint64(t.lo))
	case tagged:
		return &tree{test: test{field: fTag1, bits: tagPresent}}
	case vlanID:
		return joined(or, equals(fTag1, tagPresent|uint64(t.lo)), equals(fTag2, tagPresent|uint64(t.lo)))
	case protocol:
		switch {
		case !ofFamily:
			return never
		case s.l4 == ports && t.lo != protoTCP && t.lo != protoUDP && t.lo != protoSCTP:
			return never
		case s.l4 == icmp:
			return constant(t.lo == uint16(icmpOf(s.family)))
		}
		return equals(fProto, uint64(t.lo))
	case address:
		if !ofFamily {
			return never
		}
		if s.family == 4 {
			return t.dir.fold(prefix4(fSrc4, t.prefix), prefix4(fDst4, t.prefix))
		}
		return t.dir.fold(prefix6(fSrc6High, t.prefix), prefix6(fDst6High, t.prefix))
	case icmpType:
		if !ofFamily || s.l4 != icmp {
			return never
		}
		return within(fICMPType, uint64(t.lo), uint64(t.hi))
	}
	if !ofFamily || s.l4 != ports {
		return never
	}
	ends := t.dir.fold(within(fSrcPort, uint64(t.lo), uint64(t.hi)), within(fDstPort, uint64(t.lo), uint64(t.hi)))
	if t.proto == 0 {
		return ends
	}
	return joined(and, equals(fProto, uint64(t.proto)), ends)
}

func (d dir) fold(src, dst *tree) *tree {
	switch d {
	case source:
		return src
	case destination:
		return dst
	case both:
		return joined(and, src, dst)
	}
	return joined(or, src, dst)
}

func prefix4(f field, p netip.Prefix) *tree {
	a := p.Addr().As4()
	return masked(f, uint64(binary.LittleEndian.Uint32(a[:])), p.Bits(), 4)
}

// prefix6 tests both halves of an address, or the first alone where the prefix ends in it.
func prefix6(high field, p netip.Prefix) *tree {
	a := p.Addr().As16()
	return joined(and,
		masked(high, binary.LittleEndian.Uint64(a[:]), min(p.Bits(), 64), 8),
		masked(high+1, binary.LittleEndian.Uint64(a[8:]), max(p.Bits()-64, 0), 8))
}

// masked tests the first bits of a field of size bytes, value and mask as they are in memory.
func masked(f field, value uint64, bits, size int) *tree {
	switch bits {
	case 0:
		return always
	case 8 * size:
		return equals(f, value)
	}
	var mask [8]byte
	for i := range bits {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	t := equals(f, value)
	t.test.mask = binary.LittleEndian.Uint64(mask[:])
	return t
}
