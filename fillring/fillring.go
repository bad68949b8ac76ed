// Package fillring keeps the kernel supplied with empty frames: the one thing a receiver must never be late with.
//
// Policy. Refilling does not depend on consumption: it happens in every poll before packets are handed on, and again after
// they are released where the rx ring was empty by then; right before a sleep whatever is missing is posted. Otherwise it
// posts when at least a quarter of the ring is unused, as the ice driver does
// with its own ring, so that the shared indices are touched once per quarter and not once per packet. How much is
// unused is known without looking at shared memory: what was posted and has not come back (the pool's Filling count)
// is the most that can still be in the ring.
//
// Starvation has two causes, and they are counted apart: Empty (the ring ran dry although frames were free: this
// goroutine came too late) and Short (there were no free frames to post: consumers hold them). A ring that is found
// empty when frames come back after a spell of Short was not refilled too late: it is the same spell. A zero-copy
// driver takes descriptors off the ring ahead of packets, so there Empty says less than the kernel's own count.
package fillring

import (
	"xrx/internal/ring"
	"xrx/umem"
)

// Stats count what the refiller did. Written by the queue's goroutine.
type Stats struct {
	Posted  uint64 `json:"posted"`  // frames given to the kernel
	Batches uint64 `json:"batches"` // times the ring was published
	Empty   uint64 `json:"empty"`   // refills that found the ring empty although frames were free: this goroutine came too late
	Short   uint64 `json:"short"`   // spells of no free frame for a quarter of the ring or more being unused
}

// Refiller posts the free frames of one pool to one fill ring. Its methods belong to the queue's goroutine.
type Refiller struct {
	Stats    Stats
	ring     *ring.Producer[uint64]
	pool     *umem.Pool
	want     int  // frames that should be with the kernel: the ring's size, or all there are
	quarter  int  // refill when at least this many are missing
	short    bool // in a spell of Short
	prepared bool // addresses are written that Publish has not shown yet
}

// New makes the refiller of a ring. The ring must be empty.
func New(r *ring.Producer[uint64], p *umem.Pool) *Refiller {
	want := min(r.Size(), p.Total())
	return &Refiller{ring: r, pool: p, want: want, quarter: max(1, want/4)}
}

// Keep says how many frames should be with the kernel, where that is less than the ring takes.
func (r *Refiller) Keep(frames int) {
	r.want = min(r.want, frames)
	r.quarter = max(1, r.want/4)
}

// Want returns how many frames should be with the kernel.
func (r *Refiller) Want() int { return r.want }

// Refill posts frames if a quarter of the ring or more is unused, and reports whether it published any. (Of the ring
// means here: of the frames that should be in it.)
func (r *Refiller) Refill() bool {
	r.Prepare()
	return r.Publish()
}

// Prepare writes the addresses of frames into the ring if a quarter of it or more is unused. The kernel sees them after
// Publish. It was the kernel that touched these cache lines last, and they take their time to come over from its
// processor: who does something else before Publish, which has to wait for them, has that for nothing (docs/adr/0013).
func (r *Refiller) Prepare() {
	missing := r.want - r.pool.In(umem.Filling)
	if missing < r.quarter {
		r.short = false
		return
	}
	r.post(missing)
}

// TopUp posts all that is missing, however little: before a sleep, when nobody will refill for a while.
func (r *Refiller) TopUp() {
	if missing := r.want - r.pool.In(umem.Filling); missing > 0 {
		r.post(missing)
	}
	r.Publish()
}

// Publish shows the kernel what Prepare has written, and reports whether there was anything.
func (r *Refiller) Publish() bool {
	if !r.prepared {
		return false
	}
	r.prepared = false
	r.ring.Submit()
	return true
}

func (r *Refiller) post(missing int) {
	if r.Stats.Posted > 0 && !r.short && r.pool.In(umem.Free) > 0 && r.ring.Level() == 0 {
		r.Stats.Empty++
	}
	posted := 0
	for posted < missing {
		// The kernel may have taken an address and not yet delivered it: then less than missing is free in the ring.
		n := r.pool.Fill(r.ring.Reserve(missing - posted))
		if n == 0 {
			break
		}
		r.ring.Advance(n)
		posted += n
	}
	if posted > 0 {
		r.prepared = true
		r.Stats.Posted += uint64(posted)
		r.Stats.Batches++
	}
	short := r.want-r.pool.In(umem.Filling) >= r.quarter && r.pool.In(umem.Free) == 0
	if short && !r.short {
		r.Stats.Short++
	}
	r.short = short
}

// NeedWakeup reports whether the driver waits to be told about new frames.
func (r *Refiller) NeedWakeup() bool { return r.ring.NeedWakeup() }

// Level returns how many frames lie in the ring for the kernel to take.
func (r *Refiller) Level() int { return r.ring.Level() }
