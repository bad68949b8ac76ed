package umem

import "sync/atomic"

// A packet that was delivered is named by its first buffer and the life number that the buffer had then. A handle
// whose life number is not the frame's any more is stale: the frame has been released, and may hold another packet.

// Check panics with a *MisuseError if gen is not h's current life: the holder kept a packet beyond its release.
func (h *Header) Check(gen uint32) {
	if h.gen != gen {
		h.stale()
	}
}

func (h *Header) stale() { panic(&MisuseError{Kind: UseAfterRelease, Frame: h.Index()}) }

// Retain adds a reference to a delivered packet. Any goroutine that holds one may call it.
func (p *Pool) Retain(h *Header, gen uint32) {
	h.Check(gen)
	if atomic.AddInt32(&h.refs, 1) < 2 { // nobody has a reference, so the caller neither
		atomic.AddInt32(&h.refs, -1) // or the next Release would send home a frame that somebody else has
		panic(p.blame(UseAfterRelease, h, gen))
	}
}

// Release gives one reference back, on any goroutine. The last one sends the packet, with its chain, home through the
// pool's return queue; the queue's goroutine frees it at its next Reclaim. Until then the ledger says delivered.
func (p *Pool) Release(h *Header, gen uint32) {
	if p.drop(h, gen) {
		p.giveBack(h, h)
	}
}

// ReleaseLocal is Release on the pool's own goroutine: the packet is free at once.
func (p *Pool) ReleaseLocal(h *Header, gen uint32) {
	if h.gen != gen {
		panic(p.blame(DoubleRelease, h, gen))
	}
	// One reference and it is the caller's: nobody else may touch the count, so no locked instruction is needed.
	if atomic.LoadInt32(&h.refs) == 1 {
		h.refs = 0
		h.gen++
		p.freeChain(h)
		return
	}
	if p.drop(h, gen) {
		p.freeChain(h)
	}
}

// drop takes one reference away and reports whether it was the last; then the packet's life has ended.
func (p *Pool) drop(h *Header, gen uint32) bool {
	if h.gen != gen {
		panic(p.blame(DoubleRelease, h, gen))
	}
	switch n := atomic.AddInt32(&h.refs, -1); {
	case n > 0:
		return false
	case n < 0:
		panic(p.blame(DoubleRelease, h, gen)) // the count may stay negative: Deliver sets it anew
	}
	h.gen++
	return true
}

// blame finds out, once something is wrong, what it is: a smashed header explains any symptom, and a frame that has no
// references and is not with consumers was never the caller's to release or retain in this life.
func (p *Pool) blame(kind Misuse, h *Header, gen uint32) *MisuseError {
	base := p.u.chunkOf(h)
	m := &MisuseError{Kind: kind, Frame: int(base / p.u.stride), State: p.u.State(h)}
	switch {
	case h.magic != p.u.magicAt(base):
		m.Kind, m.State = Corrupt, 0
	case h.gen == gen && h.state != Delivered:
		m.Kind = NotDelivered
	}
	return m
}

// giveBack pushes the packets first .. last, already linked through link, on the return queue: a Treiber stack. It
// has no ABA problem because nothing is ever popped from it one by one: Reclaim takes the whole list.
func (p *Pool) giveBack(first, last *Header) {
	ref := uint32(p.u.RefOf(first))
	for {
		old := p.returned.Load()
		last.link = Ref(old)
		if p.returned.CompareAndSwap(old, ref) {
			return
		}
	}
}

// Returns gathers released packets of one pool, to send them home with one push.
type Returns struct {
	p           *Pool
	first, last *Header
}

// Release gives one reference of a packet back, on any goroutine. If it was the last one the packet goes home at the
// next Send, or when a packet of another pool comes.
func (r *Returns) Release(p *Pool, h *Header, gen uint32) {
	if !p.drop(h, gen) {
		return
	}
	if r.p != p {
		r.Send()
		r.p, r.last = p, h
	} else if r.first != nil {
		h.link = p.u.RefOf(r.first)
	} else {
		r.last = h
	}
	r.first = h
}

// Send sends home what has gathered.
func (r *Returns) Send() {
	if r.first != nil {
		r.p.giveBack(r.first, r.last)
		r.first, r.last = nil, nil
	}
}

// Returned reports whether packets wait on the return queue. Any goroutine may ask.
func (p *Pool) Returned() bool { return p.returned.Load() != 0 }

// Reclaim frees what other goroutines have released, and returns how many packets that were.
func (p *Pool) Reclaim() int {
	if p.returned.Load() == 0 {
		return 0
	}
	n := 0
	for h := p.u.Deref(Ref(p.returned.Swap(0))); h != nil; n++ {
		next := p.u.Deref(h.link)
		p.freeChain(h)
		h = next
	}
	return n
}
