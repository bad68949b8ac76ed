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
// on the list, and any difference between the walk and the running totals. On the queue's goroutine, or between runs.
func (p *Pool) Audit() Ledger {
	l := Ledger{Total: p.Total()}
	var n [numStates]int
	for i := p.lo; i < p.hi; i++ {
		h := p.u.Frame(int(i))
		if h.magic == p.u.magicAt(p.u.chunkOf(h)) && int(h.state) < numStates && h.index == i && h.home == p.id {
			n[h.state]++
		}
	}
	listed := 0
	for r := p.free; r != 0 && listed <= p.Total(); listed++ {
		h := p.u.Deref(r)
		if h.state != Free {
			break
		}
		r = h.link
	}
	l.Free = min(n[Free], listed)
	l.Filling, l.Received, l.Held, l.Delivered, l.Sending = n[Filling], n[Received], n[Held], n[Delivered], n[Sending]
	l.Lost = l.Total - l.Free - l.Filling - l.Received - l.Held - l.Delivered - l.Sending
	for s := Free; int(s) < numStates; s++ { // a walk that adds up but contradicts the totals is a fault too
		if d := n[s] - p.counts[s]; d > 0 && l.Lost == 0 {
			l.Lost += d
		}
	}
	return l
}

// Counts returns the ledger from the running totals: cheap, exact while the program is correct. On the queue's
// goroutine.
func (p *Pool) Counts() Ledger {
	c := &p.counts
	l := Ledger{Total: p.Total(), Free: c[Free], Filling: c[Filling], Received: c[Received], Held: c[Held], Delivered: c[Delivered], Sending: c[Sending]}
	l.Lost = l.Total - l.Free - l.Filling - l.Received - l.Held - l.Delivered - l.Sending
	return l
}
