package match

import (
	"maps"
	"slices"
)

// setSize is from how many values on a search by halves beats comparing with one after the other.
const setSize = 5

// gather makes sets of an or's equalities: one field, many values. The tests of a field are neighbours.
func (t *tree) gather() *tree {
	var kids []*tree
	for i := 0; i < len(t.kids); {
		n := 0
		for i+n < len(t.kids) && t.kids[i+n].isEquality() && sameField(t.kids[i], t.kids[i+n]) {
			n++
		}
		if n < setSize {
			kids = append(kids, t.kids[i:i+max(n, 1)]...)
			i += max(n, 1)
			continue
		}
		set := make([]uint64, n)
		for k := range set {
			set[k] = t.kids[i+k].test.lo
		}
		slices.Sort(set)
		first := t.kids[i].test
		kids = append(kids, &tree{test: test{field: first.field, mask: first.mask, set: slices.Compact(set)}})
		i += n
	}
	if len(kids) == 1 {
		return kids[0]
	}
	return &tree{op: or, kids: kids}
}

func (t *tree) isEquality() bool {
	return t.op == leaf && t.test.lo == t.test.hi && t.test.bits == 0 && t.test.set == nil && !t.test.field.wide()
}

func sameField(a, b *tree) bool { return a.test.field == b.test.field && a.test.mask == b.test.mask }

// factored makes one tree of those in an or that begin with the same protocol: tcp and A, tcp and B is tcp and (A or B).
func factored(list []*tree) (out []*tree) {
	rests := map[uint64][]*tree{} // by protocol
	for _, t := range list {
		if t.op == and && t.kids[0].isEquality() && t.kids[0].test.field == fProto {
			proto := t.kids[0].test.lo
			rests[proto] = append(rests[proto], joined(and, t.kids[1:]...))
		} else {
			out = append(out, t)
		}
	}
	for _, proto := range slices.Sorted(maps.Keys(rests)) {
		out = append(out, joined(and, equals(fProto, proto), joined(or, rests[proto]...)))
	}
	return out
}
