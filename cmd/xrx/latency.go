package main

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"xrx"
	"xrx/internal/gen"
	"xrx/stats"
)

// latencyMost bounds what is told apart: 1 ns to 100 s, three figures.
const latencyMost = int64(100 * time.Second)

// latency measures how old packets of xrx gen --stamp are when the consumer gets them. It reads the clock for every
// packet, which costs some 40 ns of its own. Queues record apart from each other; the reporter takes what there is.
//
// A histogram has half a megabyte. Going through one takes the better part of a millisecond, in which, on the receiver's
// processor, packets grow as old: so the reporter leaves an empty one in place of what it takes, and goes through that once.
type latency struct {
	clock  gen.Clock
	queues [64]recorder // a queue's is the one of its number modulo 64
	total  *hdrhistogram.Histogram
	spare  *hdrhistogram.Histogram // empty: the next one that a recorder gets
	alien  uint64                  // packets without a stamp, in total
}

// recorder is locked once a batch, and for as long as it takes to swap two pointers.
type recorder struct {
	mu    sync.Mutex
	h     *hdrhistogram.Histogram // since the reporter came last, ns; nil: nothing came
	alien uint64
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, latencyMost, 3) }

func newLatency() *latency {
	return &latency{clock: gen.NewClock(), total: newHistogram()}
}

// take records a batch of one queue and gives it back.
func (l *latency) take(batch []xrx.Packet) {
	if len(batch) == 0 {
		return
	}
	r := &l.queues[batch[0].Queue()%len(l.queues)]
	r.mu.Lock()
	if r.h == nil {
		r.h = newHistogram()
	}
	for _, p := range batch {
		now := l.clock.Now()
		list, left := p.IsList(), p.Count()
		for s := range p.Segments() {
			if list || left == p.Count() { // the others have no headers
				s = gen.Payload(s)
			}
			if left--; left < 0 { // one packet over several frames
				break
			}
			age, ok := gen.Age(s, now)
			if !ok || r.h.RecordValue(int64(age)) != nil {
				r.alien++
			}
		}
	}
	r.mu.Unlock()
	xrx.Release(batch)
}

// interval returns what was recorded since it was last called, and puts it to the total.
func (l *latency) interval() *stats.Latency {
	if l == nil {
		return nil
	}
	var all *hdrhistogram.Histogram
	alien := uint64(0)
	for i := range l.queues {
		if l.spare == nil { // here, not on the queue's goroutine
			l.spare = newHistogram()
		}
		h, n := l.queues[i].swap(&l.spare)
		alien += n
		switch {
		case h == nil:
		case all == nil:
			all = h
		default:
			all.Merge(h)
			l.put(h)
		}
	}
	l.alien += alien
	if all == nil {
		return &stats.Latency{Unstamped: alien}
	}
	l.total.Merge(all)
	sum := summed(all, alien)
	l.put(all)
	return sum
}

// put empties a histogram and keeps it for the next swap.
func (l *latency) put(h *hdrhistogram.Histogram) {
	h.Reset()
	l.spare = h
}

// swap takes what was recorded and leaves the spare one there; where nothing was recorded, both stay where they are.
func (r *recorder) swap(spare **hdrhistogram.Histogram) (h *hdrhistogram.Histogram, alien uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.h != nil && r.h.TotalCount() > 0 {
		h, r.h, *spare = r.h, *spare, nil
	}
	alien, r.alien = r.alien, 0
	return h, alien
}

// whole returns all that was recorded.
func (l *latency) whole() *stats.Latency {
	if l == nil {
		return nil
	}
	l.interval()
	return summed(l.total, l.alien)
}

func summed(h *hdrhistogram.Histogram, alien uint64) *stats.Latency {
	l := &stats.Latency{Packets: uint64(h.TotalCount()), Unstamped: alien}
	if l.Packets == 0 {
		return l
	}
	// The 0th percentile is the least value there is, the 100th the greatest.
	ns := h.ValueAtPercentilesSlice([]float64{0, 50, 90, 99, 99.9, 99.99, 100})
	for i, to := range []*float64{&l.Min, &l.P50, &l.P90, &l.P99, &l.P999, &l.P9999, &l.Max} {
		*to = float64(ns[i]) / 1e9
	}
	return l
}
