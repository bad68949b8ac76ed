package steer

import "xrx/internal/ring"

// Port is a producer's end: one lane to each worker. One goroutine.
type Port[T any] struct {
	lanes []lane[T]
}

type lane[T any] struct {
	ring   *ring.Producer[T]
	worker *Worker[T]
	unsent int // put into the ring, not published
	most   int // items that waited at once, at most
}

// Of returns the worker, of n, for a flow hash: equal parts of the hash's range, as reciprocal_scale in
// include/linux/kernel.h.
func Of(hash uint32, n int) int { return int(uint64(hash) * uint64(n) >> 32) }

// Put puts an item into a worker's backlog, and reports whether there was room. The worker gets it at the next Flush.
func (p *Port[T]) Put(worker int, item T) bool {
	l := &p.lanes[worker]
	slot := l.ring.Reserve(1)
	if len(slot) == 0 {
		return false
	}
	slot[0] = item
	l.ring.Advance(1)
	l.unsent++
	return true
}

// Full reports whether Put would be refused.
func (p *Port[T]) Full(worker int) bool { return len(p.lanes[worker].ring.Reserve(1)) == 0 }

// Flush hands over what was put, and wakes workers that sleep: each at most once.
func (p *Port[T]) Flush() {
	for i := range p.lanes {
		l := &p.lanes[i]
		if l.unsent == 0 {
			continue
		}
		l.unsent = 0
		l.ring.Submit()
		l.most = max(l.most, l.ring.Level())
		l.worker.wake()
	}
}

// Level returns how many items of this producer wait for a worker or are in its hands.
func (p *Port[T]) Level(worker int) int { return p.lanes[worker].ring.Level() }

// HighWater returns the most that there were at once, found at each Flush.
func (p *Port[T]) HighWater(worker int) int { return p.lanes[worker].most }
