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
type latency struct {
	clock  gen.Clock
	queues [64]recorder // a queue's is the one of its number modulo 64
	total  *hdrhistogram.Histogram
	alien  uint64 // packets without a stamp, in total
}

// recorder is locked once a batch.
type recorder struct {
	mu    sync.Mutex
	h     *hdrhistogram.Histogram // since the reporter came last; ns
	alien uint64
}

func newLatency() *latency {
	return &latency{clock: gen.NewClock(), total: hdrhistogram.New(1, latencyMost, 3)}
}

// take records a batch of one queue and gives it back.
func (l *latency) take(batch []xrx.Packet) {
	if len(batch) == 0 {
		return
	}
	r := &l.queues[batch[0].Queue()%len(l.queues)]
	r.mu.Lock()
	if r.h == nil {
		r.h = hdrhistogram.New(1, latencyMost, 3)
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
	h, alien := hdrhistogram.New(1, latencyMost, 3), uint64(0)
	for i := range l.queues {
		r := &l.queues[i]
		r.mu.Lock()
		if r.h != nil {
			h.Merge(r.h)
			r.h.Reset()
		}
		alien += r.alien
		r.alien = 0
		r.mu.Unlock()
	}
	l.total.Merge(h)
	l.alien += alien
	return summed(h, alien)
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
	at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1e9 }
	l := &stats.Latency{Packets: uint64(h.TotalCount()), Unstamped: alien}
	if l.Packets > 0 {
		l.Min, l.P50, l.P90, l.P99, l.P999, l.P9999, l.Max = float64(h.Min())/1e9, at(50), at(90), at(99), at(99.9), at(99.99), float64(h.Max())/1e9
	}
	return l
}
