package umem

// Quotas. A pool keeps an account for each owner that its frames are handed to: a consumer, a worker. A packet is charged
// to one owner when it is delivered, with all frames of its chain, and given back when its last reference has come home:
// however long it was retained, and by whatever goroutine, until then it counts. So who holds too many loses packets of
// its own, and nobody else's.
//
// The account's only writer is the pool's goroutine, so charging is a plain addition; a packet released elsewhere is
// charged until the next Reclaim, as the ledger says delivered until then.

// Owner is an account of a pool. 0 is nobody's: what is delivered to it is not counted.
type Owner uint16

// Accounts makes accounts 1 to n, all empty. It is called once, before anything is charged.
func (p *Pool) Accounts(n Owner) { p.charged = make([]int, int(n)+1) }

// Charge puts a packet that was just delivered, with the frames of its chain, on an owner's account. A packet is charged
// once in its life.
func (p *Pool) Charge(h *Header, o Owner) {
	n := h.frames()
	h.owner, h.charge = o, uint16(n)
	p.charged[o] += n
}

// Charged returns how many frames an owner has: delivered to it, and not home yet.
func (p *Pool) Charged(o Owner) int { return p.charged[o] }

// Admits reports whether an owner may have packet h on top of what it has. Who has nothing may have any packet, or one
// of more frames than the limit would never be delivered.
func (p *Pool) Admits(h *Header, o Owner, limit int) bool {
	has := p.charged[o]
	return has == 0 || has+h.frames() <= limit
}

// discharge gives back what was charged for a packet, which is not what its chain has now if frames were moved.
func (p *Pool) discharge(h *Header) {
	if int(h.owner) >= len(p.charged) { // no such account: a stray write
		panic(&MisuseError{Kind: Corrupt, Frame: int(p.u.chunkOf(h) / p.u.stride)})
	}
	p.charged[h.owner] -= int(h.charge)
	h.owner, h.charge = 0, 0
}

// frames returns how many frames a packet has.
func (h *Header) frames() int {
	if h.Tail == 0 {
		return 1
	}
	return int(h.Bufs)
}
