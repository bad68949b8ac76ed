package umem

import "fmt"

// Ledger says where every frame of a pool is. Free + Filling + Received + Held + Delivered + Sending + Lost == Total.
type Ledger struct {
	Total     int `json:"total"`
	Free      int `json:"free"`      // in the free set (found there, not believed)
	Filling   int `json:"filling"`   // posted to the kernel
	Received  int `json:"received"`  // between rx ring and delivery
	Held      int `json:"held"`      // in GRO
	Delivered int `json:"delivered"` // with consumers, or released by them and on the way home
	Sending   int `json:"sending"`   // posted to a tx ring
	Lost      int `json:"lost"`      // what does not add up; must be 0
}

// Add returns the sum of two ledgers: that of several pools.
func (l Ledger) Add(m Ledger) Ledger {
	l.Total += m.Total
	l.Free += m.Free
	l.Filling += m.Filling
	l.Received += m.Received
	l.Held += m.Held
	l.Delivered += m.Delivered
	l.Sending += m.Sending
	l.Lost += m.Lost
	return l
}

func (l Ledger) String() string {
	return fmt.Sprintf("total %d = free %d + filling %d + received %d + held %d + delivered %d + sending %d, lost %d",
		l.Total, l.Free, l.Filling, l.Received, l.Held, l.Delivered, l.Sending, l.Lost)
}

// Audit walks every header and returns what it found. Nothing in it is a running total: a frame counts only where it
// really is. Lost are the frames with a smashed header, those that claim to be free and are not in the free set or the
// other way round, and any difference between the walk and the running totals. No link is followed that does not lead to
// a sound header. On the queue's goroutine, or between runs.
func (p *Pool) Audit() Ledger {
	var n [numStates]int
	unlisted, doubled := 0, 0 // free and not in the set; in the set, and somebody has it
	for i := p.lo; i < p.hi; i++ {
		h := p.u.Frame(int(i))
		if !p.sound(h) || h.index != i {
			continue
		}
		s := p.u.State(h)
		n[s]++
		switch listed := p.free.has(i - p.lo); {
		case s == Free && !listed:
			unlisted++
		case s != Free && listed:
			doubled++
		}
	}
	for i := p.lo; i < p.hi && n[Delivered] > 0; i++ { // the further buffers of a delivered packet are where its first one is: see Deliver
		if h := p.u.Frame(int(i)); h.state == Delivered && h.Tail != 0 && p.sound(h) {
			for k, r := 1, h.Seg; k < int(h.Bufs); k++ {
				b := p.leads(r)
				if b == nil || b.state != Received && b.state != Held {
					break
				}
				n[b.state]--
				n[Delivered]++
				r = b.Seg
			}
		}
	}
	l := Ledger{Total: p.Total(), Free: n[Free] - unlisted,
		Filling: n[Filling], Received: n[Received], Held: n[Held], Delivered: n[Delivered], Sending: n[Sending]}
	l.Lost = doubled + l.Total - l.Free - l.Filling - l.Received - l.Held - l.Delivered - l.Sending
	for s := Free; int(s) < numStates; s++ { // a walk that adds up but contradicts the totals is a fault too
		if d := n[s] - p.counts[s]; d > 0 && l.Lost == 0 {
			l.Lost += d
		}
	}
	return l
}

// sound reports whether h, a chunk's first bytes, is a header of this pool that nobody has written over. While its frame
// is posted it says free: then it may be neither with anybody nor in the free set.
func (p *Pool) sound(h *Header) bool {
	base := p.u.chunkOf(h)
	return h.magic == p.u.magicAt(base) && h.home == p.id && h.state >= Free && int(h.state) < numStates &&
		(h.state == Free || !p.u.posted[slot(base)])
}

// leads returns the frame that r, which may be anything, names; nil if that is no sound frame of this pool.
func (p *Pool) leads(r Ref) *Header {
	off := (uint64(r) - 1) * refUnit // 0 wraps to beyond any end
	i := off / p.u.stride
	if r == 0 || i < uint64(p.lo) || i >= uint64(p.hi) || off%p.u.stride != 0 {
		return nil
	}
	if h := p.u.at(off); p.sound(h) && uint64(h.index) == i {
		return h
	}
	return nil
}

// Counts returns the ledger from the running totals: cheap, exact while the program is correct. On the queue's
// goroutine.
func (p *Pool) Counts() Ledger {
	c := &p.counts
	l := Ledger{Total: p.Total(), Free: c[Free], Filling: c[Filling], Received: c[Received], Held: c[Held], Delivered: c[Delivered], Sending: c[Sending]}
	l.Lost = l.Total - l.Free - l.Filling - l.Received - l.Held - l.Delivered - l.Sending
	return l
}
