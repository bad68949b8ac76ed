package flows

import (
	"cmp"
	"hash/maphash"
	"sync"
)

// Counts are what a flow brought.
type Counts struct {
	Packets         uint64 `json:"packets"` // on the wire
	Bytes           uint64 `json:"bytes"`   // on the wire, from the Ethernet header on, without FCS
	Retransmits     uint64 `json:"retransmits"`
	RetransmitBytes uint64 `json:"retransmit_bytes"`
	Late            uint64 `json:"late"`
}

func (c Counts) minus(d Counts) Counts {
	return Counts{c.Packets - d.Packets, c.Bytes - d.Bytes, c.Retransmits - d.Retransmits, c.RetransmitBytes - d.RetransmitBytes, c.Late - d.Late}
}

func (c Counts) plus(d Counts) Counts {
	return Counts{c.Packets + d.Packets, c.Bytes + d.Bytes, c.Retransmits + d.Retransmits, c.RetransmitBytes + d.RetransmitBytes, c.Late + d.Late}
}

// flow is an entry of a shard. It holds no pointer: the garbage collector passes it by.
type flow struct {
	key         key
	flags       uint8  // TCP, all that were seen
	ended       bool   // FIN or RST was seen: on the list of those
	hash        uint32 //
	newer       uint32 // neighbours on its list, by last packet; 0: none
	older       uint32
	first, last int64 // ns since 1970
	n           Counts
	said        Counts // in records so far
	seq         sequence
}

// list is flows by their last packet. The zero value is empty.
type list struct{ newest, oldest uint32 }

// shard is the table of one queue.
type shard struct {
	queue int
	seed  maphash.Seed
	cfg   *Config

	mu      sync.Mutex // once per batch by the queue, for a short time by everybody else
	index   []uint32   // by hash, linear probing: numbers of flows; 0: free
	flows   []flow     // number 0 is none
	free    uint32     // the first free one, which names the next in older
	used    int
	live    list
	over    list // FIN or RST seen
	pending []ended
	stats   Stats
}

// ended is a flow that is no longer in the table and has not been reported.
type ended struct {
	flow
	reason Reason
}

func newShard(queue int, cfg *Config, seed maphash.Seed) *shard {
	slots := 8
	for slots < 2*cfg.Flows {
		slots *= 2
	}
	s := &shard{queue: queue, seed: seed, cfg: cfg, index: make([]uint32, slots), flows: make([]flow, cfg.Flows+1), pending: make([]ended, 0, cfg.Pending)}
	for i := cfg.Flows; i > 0; i-- {
		s.flows[i].older, s.free = s.free, uint32(i)
	}
	return s
}

// get returns the flow of a key, making it, and room for it, where there is none.
func (s *shard) get(k key, now int64) (*flow, uint32) {
	hash := uint32(maphash.Comparable(s.seed, k))
	mask := uint32(len(s.index) - 1)
	for at := hash & mask; s.index[at] != 0; at = (at + 1) & mask {
		n := s.index[at]
		if f := &s.flows[n]; f.hash == hash && f.key == k {
			return f, n
		}
	}
	if s.free == 0 {
		s.stats.Evicted++
		s.remove(cmp.Or(s.over.oldest, s.live.oldest), Evicted) // those that have ended go first
	}
	n := s.free
	f := &s.flows[n]
	s.free = f.older
	*f = flow{key: k, hash: hash, first: now, last: now}
	s.link(&s.live, n)
	at := hash & mask
	for s.index[at] != 0 {
		at = (at + 1) & mask
	}
	s.index[at] = n
	s.used++
	s.stats.Created++
	return f, n
}

// touch says that a flow has just had a packet.
func (s *shard) touch(f *flow, n uint32, now int64) {
	f.last = now
	if l := s.list(f); l.newest != n {
		s.unlink(l, n)
		s.link(l, n)
	}
}

func (s *shard) list(f *flow) *list {
	if f.ended {
		return &s.over
	}
	return &s.live
}

// end puts a flow among those that have ended.
func (s *shard) end(f *flow, n uint32) {
	if !f.ended {
		s.unlink(&s.live, n)
		f.ended = true
		s.link(&s.over, n)
	}
}

func (s *shard) link(l *list, n uint32) {
	f := &s.flows[n]
	f.newer, f.older = 0, l.newest
	if l.newest != 0 {
		s.flows[l.newest].newer = n
	} else {
		l.oldest = n
	}
	l.newest = n
}

func (s *shard) unlink(l *list, n uint32) {
	f := &s.flows[n]
	if f.newer != 0 {
		s.flows[f.newer].older = f.older
	} else {
		l.newest = f.older
	}
	if f.older != 0 {
		s.flows[f.older].newer = f.newer
	} else {
		l.oldest = f.newer
	}
}

// remove takes a flow out of the table; what it has not been reported for waits to be.
func (s *shard) remove(n uint32, why Reason) {
	f := &s.flows[n]
	s.unlink(s.list(f), n)
	switch {
	case f.n == f.said: // nothing new
	case len(s.pending) == cap(s.pending):
		s.stats.Unreported++
	default:
		s.pending = append(s.pending, ended{*f, why})
	}
	mask := uint32(len(s.index) - 1)
	at := f.hash & mask
	for s.index[at] != n {
		at = (at + 1) & mask
	}
	for next := (at + 1) & mask; s.index[next] != 0; next = (next + 1) & mask { // close the gap: no tombstones
		home := s.flows[s.index[next]].hash & mask
		if (next-home)&mask >= (next-at)&mask {
			s.index[at] = s.index[next]
			at = next
		}
	}
	s.index[at] = 0
	f.older, s.free = s.free, n
	f.n = Counts{} // walk passes it by
	s.used--
}
