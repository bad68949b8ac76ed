package backlog

import (
	"sync"
	"sync/atomic"
	"time"

	"xrx"
)

// Output is what the writing goroutine hands packets to.
type Output interface {
	Show(*Batch, *Record) // one packet; the batch is valid during the call
	Flush()               // nothing more waits: what was gathered may go out
}

// Lanes carry packets of any number of queues to one Output.
type Lanes struct {
	keep   Keep
	room   int // bytes per lane: half is filled while the other half is written
	out    Output
	wake   chan struct{}
	done   chan struct{}
	ended  chan struct{}
	closed atomic.Bool

	mu sync.RWMutex // for the map
	of map[int]*lane
}

// lane is the way of one queue's packets.
type lane struct {
	split xrx.Splitter // the queue's goroutine

	mu      sync.Mutex
	filling *Batch
	dropped Dropped

	written *Batch // the writer's goroutine
}

// Dropped is packets for which there was no room.
type Dropped struct {
	Packets uint64 // as a consumer gets them
	Wire    uint64 // the same as packets on the wire
}

// New starts the writing goroutine. room is bytes per queue. Finish it.
func New(out Output, k Keep, room int) *Lanes {
	l := &Lanes{keep: k, room: room, out: out, wake: make(chan struct{}, 1), done: make(chan struct{}),
		ended: make(chan struct{}), of: make(map[int]*lane)}
	go l.write()
	return l
}

// Take copies packets of one queue, which share one time, and releases them: an xrx.BatchHandler.
func (l *Lanes) Take(packets []xrx.Packet) {
	l.Copy(packets)
	xrx.Release(packets)
}

// Copy is Take without the release: what it is called with stays the caller's.
func (l *Lanes) Copy(packets []xrx.Packet) { l.CopyIf(packets, nil) }

// CopyIf copies the packets for which chosen, by their place, has mine. A nil chosen means all of them.
func (l *Lanes) CopyIf(packets []xrx.Packet, chosen []uint16, mine ...uint16) {
	if len(packets) == 0 {
		return
	}
	now := time.Now().UnixNano()
	ln := l.lane(packets[0].Queue())
	added := false
	ln.mu.Lock()
	for i, p := range packets {
		if chosen != nil && chosen[i] != mine[0] {
			continue
		}
		m := p.Meta()
		r := Record{At: now, Hash: m.Hash, Queue: p.Queue()}
		if m.Timestamp != 0 {
			r.At = int64(m.Timestamp)
		}
		if l.closed.Load() || !Add(ln.filling, l.keep, &ln.split, p, r, StrippedTag(m)) {
			ln.dropped.Packets++
			ln.dropped.Wire += uint64(p.Count())
			continue
		}
		added = true
	}
	ln.mu.Unlock()
	if !added {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Lanes) lane(queue int) *lane {
	l.mu.RLock()
	ln := l.of[queue]
	l.mu.RUnlock()
	if ln != nil {
		return ln
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if ln = l.of[queue]; ln == nil {
		ln = &lane{filling: NewBatch(l.room / 2), written: NewBatch(l.room / 2)}
		l.of[queue] = ln
	}
	return ln
}

// write is the writing goroutine: it ends when done is closed and everything is written.
func (l *Lanes) write() {
	defer close(l.ended)
	for {
		select {
		case <-l.wake:
			l.sweep()
		case <-l.done:
			l.sweep()
			return
		}
	}
}

// sweep writes what has gathered in all lanes, by time.
func (l *Lanes) sweep() {
	l.mu.RLock()
	var full []*Batch
	for _, ln := range l.of {
		ln.mu.Lock()
		ln.filling, ln.written = ln.written, ln.filling
		ln.mu.Unlock()
		if len(ln.written.Records) > 0 {
			full = append(full, ln.written)
		}
	}
	l.mu.RUnlock()
	for at := make([]int, len(full)); ; {
		next := -1
		for i, b := range full {
			if at[i] < len(b.Records) && (next < 0 || b.Records[at[i]].At < full[next].Records[at[next]].At) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		l.out.Show(full[next], &full[next].Records[at[next]])
		at[next]++
	}
	for _, b := range full {
		b.Reset()
	}
	l.out.Flush()
}

// Finish writes the rest. Packets that come later are dropped, and counted. It is called once.
func (l *Lanes) Finish() {
	l.closed.Store(true)
	close(l.done)
	<-l.ended
}

// Dropped returns how many packets there was no room for.
func (l *Lanes) Dropped() (d Dropped) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, ln := range l.of {
		ln.mu.Lock()
		d.Packets += ln.dropped.Packets
		d.Wire += ln.dropped.Wire
		ln.mu.Unlock()
	}
	return d
}
