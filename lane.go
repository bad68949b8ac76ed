package xrx

import "xrx/umem"

// lane is a Mux as one goroutine runs it, with counters of its own: first each tap sees the whole batch, then each
// packet goes to its handler. So a tap that panics takes no packet from anybody.
type lane struct {
	t      *routes
	taps   []*Tap
	g      *guard
	local  bool     // the queue's own goroutine: a released frame is free at once
	at     uint16   // the handler that has the packet
	counts []uint64 // packets by handler
}

func newLane(m *Mux, g *guard, local bool) *lane {
	return &lane{t: m.table, taps: m.tapping(), g: g, local: local, counts: make([]uint64, len(m.table.handlers))}
}

// deliver owns the packets.
func (l *lane) deliver(batch []Packet) {
	for _, t := range l.taps {
		for seen := 0; seen < len(batch) && l.g.failed == nil; {
			seen += l.show(t, batch, seen)
		}
		t.seen.Add(uint64(len(batch)))
	}
	for done := 0; done < len(batch); {
		if l.g.failed != nil {
			l.g.discard(batch[done:])
			return
		}
		done += l.hand(batch[done:])
	}
}

// show shows the packets from one on to a tap, up to one that panics it, and returns how many.
func (l *lane) show(t *Tap, batch []Packet, from int) (seen int) {
	whole := false
	defer func() {
		if whole {
			return
		}
		l.g.name = t.name
		v := recover()
		l.g.caught(v, batch[from].q.id, 0)
		if v == nil { // the goroutine ends
			l.g.discard(batch)
		}
	}()
	for _, p := range batch[from:] {
		seen++
		t.see(t, p)
	}
	whole = true
	return seen
}

// hand gives packets to their handlers and releases them, up to one that panics, that one included.
func (l *lane) hand(batch []Packet) (done int) {
	whole := false
	var home umem.Returns
	defer func() {
		home.Send()
		if whole {
			return
		}
		l.g.name = l.t.names[l.at]
		v := recover()
		l.g.caught(v, batch[done-1].q.id, releaseLive(batch[done-1:done]))
		if v == nil {
			l.g.discard(batch[done:])
		}
	}()
	for i, p := range batch {
		done = i + 1
		l.at = l.t.find(layersOf(p))
		l.counts[l.at]++
		l.t.handlers[l.at](p)
		if l.local {
			p.q.pool.ReleaseLocal(p.h, p.gen)
		} else {
			home.Release(p.q.pool, p.h, p.gen)
		}
	}
	whole = true
	return done
}

// handledByNow returns the packets of each handler of the queue's Muxes, of all runs; on the queue's goroutine.
func (q *Queue) handledByNow() map[string]uint64 {
	if q.mux == nil {
		return q.handled
	}
	m := q.mux.counted()
	for name, n := range q.handled {
		m[name] += n
	}
	return m
}

// counted returns the packets of each handler that had any, by its name; on the lane's goroutine.
func (l *lane) counted() map[string]uint64 {
	m := map[string]uint64{}
	for i, n := range l.counts {
		if n > 0 {
			m[l.t.names[i]] = n
		}
	}
	return m
}

// batches returns c as what takes batches, contained by g, for one goroutine that is not a queue's. c must have been
// accepted by accept.
func (g *guard) batches(c Consumer) func([]Packet) {
	switch c := c.(type) {
	case Handler:
		return func(batch []Packet) { g.each(c, batch) }
	case BatchHandler:
		return func(batch []Packet) { g.several(c, batch) }
	case *Mux:
		return newLane(c, g, false).deliver
	}
	return g.discard
}
