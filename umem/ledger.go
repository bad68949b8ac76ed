package umem

import "fmt"

// Ledger says where every frame of a pool is. Free + Filling + Received + Held + Delivered + Sending + Lost == Total.
type Ledger struct {
	Total     int `json:"total"`
	Free      int `json:"free"`      // on the free list (found there, not believed)
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

// Audit walks every header and the free list and returns what it found. Nothing in it is a running total: a frame
// counts only where it really is. Lost are the frames with a smashed header, those that claim to be free and are not
// on the list, and any difference between the walk and the running totals. No link is followed that does not lead to
// a sound header. On the queue's goroutine, or between runs.
func (p *Pool) Audit() Ledger {
	var n [numStates]int
	for i := p.lo; i < p.hi; i++ {
		if h := p.u.Frame(int(i)); p.sound(h) && h.index == i {
			n[h.state]++
		}
	}
	for i := p.lo; i < p.hi; i++ { // the further buffers of a delivered packet are where its first one is: see Deliver
		if h := p.u.Frame(int(i)); h.state == Delivered && h.Tail != 0 && p.sound(h) {
			for k, r := 1, h.Seg; k < int(h.Bufs) && (p.leads(r, Received) || p.leads(r, Held)); k++ {
				b := p.u.Deref(r)
				n[b.state]--
				n[Delivered]++
				r = b.Seg
			}
		}
	}
	l := Ledger{Total: p.Total(), Free: min(n[Free], p.listed()),
		Filling: n[Filling], Received: n[Received], Held: n[Held], Delivered: n[Delivered], Sending: n[Sending]}
	l.Lost = l.Total - l.Free - l.Filling - l.Received - l.Held - l.Delivered - l.Sending
	for s := Free; int(s) < numStates; s++ { // a walk that adds up but contradicts the totals is a fault too
		if d := n[s] - p.counts[s]; d > 0 && l.Lost == 0 {
			l.Lost += d
		}
	}
	return l
}

// sound reports whether h, a chunk's first bytes, is a header of this pool that nobody has written over.
func (p *Pool) sound(h *Header) bool {
	return h.magic == p.u.magicAt(p.u.chunkOf(h)) && h.home == p.id && h.state >= Free && int(h.state) < numStates
}

// listed counts the frames on the free list, each once even where the list bites its own tail.
func (p *Pool) listed() (n int) {
	for r := p.free; p.leads(r, Free); n++ {
		if n == p.Total() {
			return p.listedOnce()
		}
		r = p.u.Deref(r).link
	}
	return n
}

func (p *Pool) listedOnce() int {
	seen := make(map[Ref]bool)
	for r := p.free; p.leads(r, Free) && !seen[r]; r = p.u.Deref(r).link {
		seen[r] = true
	}
	return len(seen)
}

// leads reports whether r, which may be anything, names a frame of this pool in the given state.
func (p *Pool) leads(r Ref, s State) bool {
	off := (uint64(r) - 1) * refUnit // 0 wraps to beyond any end
	if r == 0 || off >= p.u.end || off%p.u.stride != 0 {
		return false
	}
	h := p.u.at(off)
	return p.sound(h) && h.state == s
}

// Counts returns the ledger from the running totals: cheap, exact while the program is correct. On the queue's
// goroutine.
func (p *Pool) Counts() Ledger {
	c := &p.counts
	l := Ledger{Total: p.Total(), Free: c[Free], Filling: c[Filling], Received: c[Received], Held: c[Held], Delivered: c[Delivered], Sending: c[Sending]}
	l.Lost = l.Total - l.Free - l.Filling - l.Received - l.Held - l.Delivered - l.Sending
	return l
}
