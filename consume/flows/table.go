package flows

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"

	"xrx"
)

// Config bounds a table. nil, and the zero value of every field, mean the documented default.
type Config struct {
	Flows   int           // per queue, at most; default 65536, of about 250 bytes each
	Idle    time.Duration // a flow that was silent for so long has ended; default 30s
	Linger  time.Duration // a flow with FIN or RST ends after so long a silence; default 2s
	Pending int           // ended flows per queue that wait for Ended to be called; more are Unreported; default 4096
}

// Stats are what a table did, over all queues.
type Stats struct {
	Packets, Bytes    uint64 // on the wire; all that came
	NotIP             uint64 // packets that belong to no flow: ARP and the like
	Malformed         uint64 // packets that belong to no flow: a header is cut off, or a length can't be right
	Flows             int    // in the table now
	Created           uint64 // flows so far
	Evicted           uint64 // flows that made room
	Unreported        uint64 // ended flows whose record was lost: Ended was not called often enough
	Retransmits, Late uint64 // TCP segments
}

// Table is the flows of a receiver. Any goroutine may use it.
type Table struct {
	cfg  Config
	seed maphash.Seed

	mu     sync.RWMutex
	shards map[int]*shard // by queue
}

// New returns an empty table. Memory is taken when a queue's first packet comes.
func New(cfg *Config) (*Table, error) {
	t := &Table{seed: maphash.MakeSeed(), shards: map[int]*shard{}}
	if cfg != nil {
		t.cfg = *cfg
	}
	c := &t.cfg
	c.Flows, c.Pending = cmp.Or(c.Flows, 1<<16), cmp.Or(c.Pending, 4096)
	c.Idle, c.Linger = cmp.Or(c.Idle, 30*time.Second), cmp.Or(c.Linger, 2*time.Second)
	switch {
	case c.Flows < 1 || c.Flows > 1<<24:
		return nil, fmt.Errorf("flows: a table of %d flows: want 1 to %d", c.Flows, 1<<24)
	case c.Pending < 1 || c.Pending > 1<<24:
		return nil, fmt.Errorf("flows: %d pending records: want 1 to %d", c.Pending, 1<<24)
	case c.Idle < 0 || c.Linger < 0:
		return nil, fmt.Errorf("flows: times can't be negative")
	}
	return t, nil
}

// Take counts packets and releases them: an xrx.BatchHandler.
func (t *Table) Take(packets []xrx.Packet) {
	t.Count(packets)
	xrx.Release(packets)
}

// Count counts packets of one queue and leaves them to the caller. The clock is read once.
func (t *Table) Count(packets []xrx.Packet) {
	if len(packets) == 0 {
		return
	}
	s, now := t.shard(packets[0].Queue()), time.Now().UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range packets {
		count(s, p, now)
	}
}

func (t *Table) shard(queue int) *shard {
	t.mu.RLock()
	s := t.shards[queue]
	t.mu.RUnlock()
	if s != nil {
		return s
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s = t.shards[queue]; s == nil {
		s = newShard(queue, &t.cfg, t.seed)
		t.shards[queue] = s
	}
	return s
}

// all returns the shards by queue.
func (t *Table) all() (list []*shard) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, queue := range slices.Sorted(maps.Keys(t.shards)) {
		list = append(list, t.shards[queue])
	}
	return list
}

// Stats adds up the queues.
func (t *Table) Stats() (sum Stats) {
	for _, s := range t.all() {
		s.mu.Lock()
		n := s.stats
		n.Flows = s.used
		s.mu.Unlock()
		sum = Stats{sum.Packets + n.Packets, sum.Bytes + n.Bytes, sum.NotIP + n.NotIP, sum.Malformed + n.Malformed, sum.Flows + n.Flows,
			sum.Created + n.Created, sum.Evicted + n.Evicted, sum.Unreported + n.Unreported, sum.Retransmits + n.Retransmits, sum.Late + n.Late}
	}
	return sum
}

// most is how many flows are looked at with a queue's table locked: some microseconds.
const most = 256

// Ended takes flows out of the table that have ended by now, and gives a record of each, and of those that were evicted
// since. Call it about every second; emit runs without a lock.
func (t *Table) Ended(now time.Time, emit func(*Record)) {
	at := now.UnixNano()
	for _, s := range t.all() {
		for more := true; more; {
			s.mu.Lock()
			more = s.expire(&s.over, at-int64(t.cfg.Linger)) || s.expire(&s.live, at-int64(t.cfg.Idle))
			records := s.take()
			s.mu.Unlock()
			give(records, emit)
		}
	}
}

// expire removes flows of a list that were silent since before. It says whether there may be more.
func (s *shard) expire(l *list, before int64) (more bool) {
	for range min(most, cap(s.pending)-len(s.pending)) {
		n := l.oldest
		if n == 0 || s.flows[n].last > before {
			return false
		}
		why := Idle
		if f := &s.flows[n]; f.ended {
			if why = Fin; f.flags&rst != 0 {
				why = Rst
			}
		}
		s.remove(n, why)
	}
	return true
}

// take empties pending.
func (s *shard) take() (records []Record) {
	for i := range s.pending {
		e := &s.pending[i]
		records = append(records, s.record(&e.flow, e.n.minus(e.said), e.reason))
	}
	s.pending = s.pending[:0]
	return records
}

func give(records []Record, emit func(*Record)) {
	for i := range records {
		emit(&records[i])
	}
}

// walk calls look for each flow in the table, with the lock held for a few at a time, and after runs without it.
func (s *shard) walk(look func(*flow), after func()) {
	for from := 1; from < len(s.flows); from += most {
		s.mu.Lock()
		for i := from; i < min(from+most, len(s.flows)); i++ {
			if f := &s.flows[i]; f.n.Packets > 0 {
				look(f)
			}
		}
		s.mu.Unlock()
		after()
	}
}

// Active gives a record of each flow that had packets since its last record.
func (t *Table) Active(emit func(*Record)) {
	for _, s := range t.all() {
		var records []Record
		s.walk(func(f *flow) {
			if f.n != f.said {
				records = append(records, s.record(f, f.n.minus(f.said), Interval))
				f.said = f.n
			}
		}, func() {
			give(records, emit)
			records = records[:0]
		})
	}
}

// Flush ends all flows and gives their records: for the end.
func (t *Table) Flush(emit func(*Record)) {
	for _, s := range t.all() {
		for more := true; more; {
			s.mu.Lock()
			for range min(most, cap(s.pending)-len(s.pending)) {
				if n := cmp.Or(s.over.oldest, s.live.oldest); n != 0 {
					s.remove(n, End)
				}
			}
			more = s.used > 0
			records := s.take()
			s.mu.Unlock()
			give(records, emit)
		}
	}
}
