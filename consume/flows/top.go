package flows

import (
	"cmp"
	"net/netip"
	"slices"
)

// Order says by what Top sorts, the most first.
type Order uint8

const (
	Bytes Order = iota
	Packets
	Retransmits
	Recent // last packet
)

func (o Order) compare(a, b *Record) int {
	switch o {
	case Packets:
		return cmp.Compare(b.Packets, a.Packets)
	case Retransmits:
		return cmp.Compare(b.Retransmits, a.Retransmits)
	case Recent:
		return b.Last.Compare(a.Last)
	}
	return cmp.Compare(b.Bytes, a.Bytes)
}

// Top returns the n first flows of the table, with all that they brought so far. A flow whose packets came on several
// queues is added up; Queue is then the one of its first packet. It takes a lock for a few flows at a time, so what it
// returns is not of one instant.
func (t *Table) Top(n int, by Order) []Record {
	shards := t.all()
	var found []Record
	keep := max(0, n)
	if len(shards) > 1 {
		keep *= 4 // a flow that is first overall is among the first somewhere, unless it is spread thin
	}
	trim := func(list []Record, to int) []Record {
		slices.SortFunc(list, func(a, b Record) int { return by.compare(&a, &b) })
		return list[:min(to, len(list))]
	}
	type name struct {
		src, dst netip.AddrPort
		proto    Proto
		vlan     uint16
	}
	at := map[name]int{}
	for _, s := range shards {
		var mine []Record
		s.walk(func(f *flow) { mine = append(mine, s.record(f, f.n, Interval)) }, func() {
			if len(mine) > 4*keep+most {
				mine = trim(mine, keep)
			}
		})
		for _, r := range trim(mine, keep) {
			k := name{r.Src, r.Dst, r.Proto, r.VLAN}
			i, ok := at[k]
			if !ok {
				at[k] = len(found)
				found = append(found, r)
				continue
			}
			f := &found[i]
			if r.First.Before(f.First) {
				f.First, f.Queue = r.First, r.Queue
			}
			if r.Last.After(f.Last) {
				f.Last = r.Last
			}
			f.Flags |= r.Flags
			f.Counts = f.Counts.plus(r.Counts)
		}
	}
	return trim(found, max(0, n))
}
