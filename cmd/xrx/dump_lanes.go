package main

import (
	"sync"
	"time"

	"xrx"
)

// lanes carry packets from the queues' goroutines to the one that writes. A queue's goroutine only copies: it formats
// nothing, waits for nobody but another copy, and gives the frames back at once. The other way, to hand retained packets
// to the writer, would copy less, but a terminal or a disk that is slow for a moment would then hold the frames that
// the kernel needs, and packets would be lost out of the ledger's sight; here they are lost under a name of their own.
type lanes struct {
	keep  keep
	room  int // bytes per lane: half is filled while the other half is written
	out   *dumpOutput
	wake  chan struct{}
	ended chan struct{}

	mu sync.RWMutex // for the map
	of map[int]*lane
}

// lane is the way of one queue's packets.
type lane struct {
	split xrx.Splitter // the queue's goroutine

	mu      sync.Mutex
	filling *batch
	dropped uint64 // packets for which there was no room
	lost    uint64 // the same as packets on the wire

	written *batch // the writer's goroutine
}

func newLanes(out *dumpOutput, k keep, room int) *lanes {
	l := &lanes{keep: k, room: room, out: out, wake: make(chan struct{}, 1), ended: make(chan struct{}), of: make(map[int]*lane)}
	go l.write()
	return l
}

// take is the consumer: it copies a poll's packets, which share one time, and releases them.
func (l *lanes) take(packets []xrx.Packet) {
	now := time.Now().UnixNano()
	ln := l.lane(packets[0].Queue())
	ln.mu.Lock()
	for _, p := range packets {
		m := p.Meta()
		r := record{at: now, hash: m.Hash, queue: p.Queue()}
		if m.Timestamp != 0 {
			r.at = int64(m.Timestamp)
		}
		if !add(ln.filling, l.keep, &ln.split, p, r, strippedTag(m)) {
			ln.dropped++
			ln.lost += uint64(p.Count())
		}
	}
	ln.mu.Unlock()
	xrx.Release(packets)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lanes) lane(queue int) *lane {
	l.mu.RLock()
	ln := l.of[queue]
	l.mu.RUnlock()
	if ln != nil {
		return ln
	}
	ln = &lane{filling: &batch{room: l.room / 2}, written: &batch{room: l.room / 2}}
	l.mu.Lock()
	l.of[queue] = ln
	l.mu.Unlock()
	return ln
}

// write is the writer's goroutine: it ends when wake is closed and everything is written.
func (l *lanes) write() {
	defer close(l.ended)
	for range l.wake {
		l.sweep()
	}
	l.sweep()
}

// sweep writes what has gathered in all lanes, by time.
func (l *lanes) sweep() {
	l.mu.RLock()
	var full []*batch
	for _, ln := range l.of {
		ln.mu.Lock()
		ln.filling, ln.written = ln.written, ln.filling
		ln.mu.Unlock()
		if len(ln.written.records) > 0 {
			full = append(full, ln.written)
		}
	}
	l.mu.RUnlock()
	for at := make([]int, len(full)); ; {
		next := -1
		for i, b := range full {
			if at[i] < len(b.records) && (next < 0 || b.records[at[i]].at < full[next].records[at[next]].at) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		l.out.show(full[next], &full[next].records[at[next]])
		at[next]++
	}
	for _, b := range full {
		b.reset()
	}
	l.out.flush()
}

// finish writes the rest. No more packets may come.
func (l *lanes) finish() {
	close(l.wake)
	<-l.ended
}

// dropped returns how many packets there was no room for, and how many packets on the wire that were.
func (l *lanes) dropped() (packets, onWire uint64) {
	for _, ln := range l.of {
		packets += ln.dropped
		onWire += ln.lost
	}
	return packets, onWire
}
