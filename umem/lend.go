package umem

import "sync/atomic"

// Lending is Deliver and ReleaseLocal for what is nearly every packet: it lies in one buffer and is home again when the
// handler that it was shown to returns. The states are the same, and in force at once; the pool's totals are
// brought up to date once for many packets, by Settle, since a sum in memory that each packet adds to and takes from again
// is a chain of loads and stores longer than all the rest (docs/adr/0014).

// Lend makes a packet Delivered with one reference, or reports false where it is for Deliver: it has several buffers, or
// was held.
func (h *Header) Lend() bool {
	if h.state != Received || h.Tail != 0 {
		return false
	}
	h.refs = 1 // plain, as in Deliver
	h.state = Delivered
	return true
}

// Regain frees a packet of one buffer whose only reference is the caller's, the pool's goroutine, or reports false, having
// done nothing: then it is for ReleaseLocal.
func (p *Pool) Regain(h *Header, gen uint32) bool {
	if h.gen != gen || atomic.LoadInt32(&h.refs) != 1 || h.Seg != 0 || h.owner != 0 {
		return false
	}
	h.refs = 0
	h.gen = gen + 1
	h.state = Free
	p.free.add(p.number(h))
	return true
}

// Settle adds to the totals how many packets were lent, and how many regained. Until then the ledger is not right.
func (p *Pool) Settle(lent, regained int) {
	p.counts[Received] -= lent
	p.counts[Delivered] += lent - regained
	p.counts[Free] += regained
}
