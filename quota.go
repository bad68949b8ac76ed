package xrx

import (
	"math/bits"

	"xrx/umem"
)

// Quotas: how many frames of a queue a consumer, or each worker, may hold. Beyond that packets are dropped, for the one
// who holds too much and nobody else, and what the fill ring needs stays with the queue (umem/quota.go).

// theConsumer is the account of what is delivered on the queue's own goroutine; with workers, worker w has account w+1.
const theConsumer umem.Owner = 1

// accounts returns how many accounts a queue's frames are charged to: none where nobody has a limit.
func (c *Config) accounts() umem.Owner {
	switch {
	case c.Workers > 0:
		return umem.Owner(c.Workers)
	case c.Quota > 0:
		return theConsumer
	}
	return 0
}

// share is the default of Quota with workers: an equal part of the frames that neither the fill ring nor a poll needs,
// so that all workers together can't starve the ring. A quarter of all frames where the ring takes nearly all.
func (c *Config) share() int {
	return max(1, max(c.Frames-c.RingSize-c.Budget, c.Frames/4)/c.Workers)
}

// backlog is the default of Backlog: less than the quota, so that a worker which is slow and one which keeps what it was
// given lose packets for different reasons.
func (c *Config) backlog() int {
	if c.Quota < 0 {
		return 256
	}
	return max(2, floorPowerOfTwo(c.Quota*3/4))
}

func floorPowerOfTwo(n int) int { return 1 << max(0, bits.Len(uint(max(0, n)))-1) }

// ration delivers under a quota. What a handler gives back on the way makes room for what follows.
func (q *Queue) ration(ready []*umem.Header) {
	for len(ready) > 0 {
		k := 0
		for k < len(ready) && q.pool.Admits(ready[k], theConsumer, q.limit) {
			q.pool.Charge(ready[k], theConsumer)
			k++
		}
		if k > 0 {
			q.deliver(ready[:k])
			ready = ready[k:]
			continue
		}
		if q.pool.Reclaim() == 0 {
			q.n.overQuota++
			q.pool.Drop(ready[0])
			ready = ready[1:]
		}
	}
}
