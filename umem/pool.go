package umem

import (
	"slices"
	"sync/atomic"

	"xrx/internal/sys"
)

// Pool is the home of a queue's frames: the set of those that are free, and a return queue for releases from other
// goroutines, threaded through the hidden headers.
//
// Which frames are free, and which are posted, stands beside the frames in tables as dense as can be: going from one hidden
// header to the next is a cache miss each, and filling the ring must not wait for it (docs/adr/0011).
//
// One goroutine, the queue's, calls everything here but Release, Retain and Returned.
type Pool struct {
	u      *Umem
	id     uint16
	lo, hi uint32 // frames of this pool, by index

	distrust bool // clear metadata tags: see Distrust

	free   freeSet           // by number in the pool: index - lo
	counts [numStates]int    // frames by state; the ledger
	Faults [NumFaults]uint64 // descriptors refused, by Fault
	Unsent [NumFaults]uint64 // completions refused, by Fault

	charged []int // frames by owner: see Accounts

	_        [64]byte      // keeps the remote side's cache line off the queue's
	returned atomic.Uint32 // head Ref of the return queue; pushed by any goroutine, emptied by the queue's
}

func newPool(u *Umem, id uint16, lo, hi int) *Pool {
	p := &Pool{u: u, id: id, lo: uint32(lo), hi: uint32(hi), free: newFreeSet(hi - lo)}
	for i := lo; i < hi; i++ {
		h := u.Frame(i)
		h.home, h.state = id, Free
		p.free.add(uint32(i - lo))
	}
	p.counts[Free] = hi - lo
	return p
}

// Umem returns the region that the pool's frames lie in.
func (p *Pool) Umem() *Umem { return p.u }

// In returns the number of frames in a state, from the running totals.
func (p *Pool) In(s State) int { return p.counts[s] }

// Total returns the number of frames that call this pool home.
func (p *Pool) Total() int { return int(p.hi - p.lo) }

// Fill takes len(slots) free frames, or as many as there are, in the order of their addresses, writes these for the fill
// ring, and makes the frames Filling. Returns how many slots it wrote. It looks at no header: one that was overwritten is
// found when its frame comes back (BadMagic).
func (p *Pool) Fill(slots []uint64) int {
	n := min(len(slots), p.counts[Free])
	n = p.free.take(slots[:n], p.Total()-p.counts[Free], uint64(p.lo), p.u.stride)
	slots = slots[:n]
	for posted, k := p.u.posted, 0; k < n; k++ {
		posted[slot(slots[k])] = true
	}
	if p.distrust {
		for _, base := range slots {
			*p.u.tag(base) = 0
		}
	}
	p.counts[Free] -= n
	p.counts[Filling] += n
	return n
}

// Distrust makes the pool clear the metadata tag of every frame, now and whenever one is posted. To be called, before
// metadata is read, as soon as the XDP program has told that a packet went without: the tag in front of it, and of any
// after it, may be that of the frame's previous packet. Frames that are held or delivered came before that, and the
// headroom of a delivered one is its holder's: they are left alone. Where metadata is never refused this is never
// called, and the cache line in front of the packet is left alone (docs/adr/0003).
func (p *Pool) Distrust() {
	if p.distrust {
		return
	}
	p.distrust = true
	for i := p.lo; i < p.hi; i++ {
		switch h := p.u.Frame(int(i)); p.u.State(h) {
		case Free, Filling, Received:
			*p.u.tag(p.u.chunkOf(h)) = 0
		}
	}
}

// TakeBack frees every frame that is Filling: once the socket is closed, the kernel owns none of them any more.
func (p *Pool) TakeBack() {
	for i := p.lo; i < p.hi; i++ {
		if h := p.u.Frame(int(i)); p.u.State(h) == Filling {
			p.u.posted[slot(p.u.chunkOf(h))] = false
			p.counts[Filling]--
			p.push(h)
		}
	}
}

// Receive turns an rx descriptor into its frame: Filling becomes Received. addr is as the kernel wrote it: see place.
// A descriptor that can't be right is counted in Faults and yields nil: it never reaches a consumer, and its frame,
// if it has one, stays what it was.
func (p *Pool) Receive(addr uint64, length uint32) (*Header, Fault) {
	u := p.u
	base, off := u.place(addr)
	if base >= u.end { // between the last chunk and the end of the mapping there may be room, but no chunk
		return nil, p.fault(BadAddress)
	}
	h := u.at(base)
	switch {
	case h.magic != u.magicAt(base):
		return nil, p.fault(BadMagic)
	case !u.posted[slot(base)]:
		return nil, p.fault(NotFilling)
	case h.home != p.id:
		return nil, p.fault(NotHome)
	case off < uint64(u.cfg.Headroom) || off+uint64(length) > uint64(u.cfg.ChunkSize):
		return nil, p.fault(BadLength)
	}
	u.posted[slot(base)] = false
	h.received(off, length)
	p.counts[Filling]--
	p.counts[Received]++
	return h, NoFault
}

// received describes what a descriptor says: a packet of its own in one buffer. In the order of the fields, and by halves
// of one word where values differ, because the compiler then makes six stores of what would be twelve.
func (h *Header) received(off uint64, length uint32) {
	h.Seg, h.Tail = 0, 0
	both := uint64(length) | uint64(length)<<32
	h.Len, h.Total = uint32(both), uint32(both>>32)
	at := off | 1<<32
	h.Off, h.Skip, h.Segs, h.GSOSize = uint16(at), uint16(at>>16), uint16(at>>32), uint16(at>>48)
	h.Bufs, h.state, h.Kind, h.Csum = 1, Received, Plain, CsumUnknown
}

// ReceiveWhole is Receive for the common case, many at once: it appends to in the frames of the descriptors up to the
// first that is refused or is part of a longer packet. That one is for Receive. It returns in, and how many bytes the
// packets have that it appended.
//
// Headers are found in one loop and written in another. The first is short, so that the processor is at many at once:
// most of the time is waiting for them (docs/adr/0022).
func (p *Pool) ReceiveWhole(descs []sys.XDPDesc, in []*Header) ([]*Header, uint64) {
	first := len(in)
	in = slices.Grow(in, len(descs))[:first+len(descs)]
	hs := in[first:]
	hs = hs[:p.find(descs, hs)]

	u := p.u
	posted, room, size, bytes, n := u.posted, uint64(u.cfg.Headroom), uint64(u.cfg.ChunkSize), uint64(0), len(hs)
	for k, h := range hs {
		d := &descs[k]
		base, off := u.place(d.Addr)
		length := uint64(d.Len)
		if off < room || off+length > size || !posted[slot(base)] {
			n = k
			break
		}
		posted[slot(base)] = false
		h.received(off, uint32(length))
		bytes += length
	}
	p.counts[Filling] -= n
	p.counts[Received] += n
	return in[:first+n], bytes
}

// find writes the frames of descriptors to hs, up to the first that has none of this pool's or is part of a longer
// packet, and returns how many.
func (p *Pool) find(descs []sys.XDPDesc, hs []*Header) int {
	u := p.u
	hs = hs[:len(descs)]
	for k := range descs {
		d := &descs[k]
		base, _ := u.place(d.Addr)
		if base >= u.end || d.Options != 0 {
			return k
		}
		h := u.at(base)
		if h.magic != u.magicAt(base) || h.home != p.id {
			return k
		}
		hs[k] = h
	}
	return len(descs)
}

func (p *Pool) fault(f Fault) Fault {
	p.Faults[f]++
	return f
}

func (p *Pool) move(h *Header, from, to State) {
	h.state = to
	p.counts[from]--
	p.counts[to]++
}

// mine panics unless the queue's goroutine has h in its hands: handing on a frame twice would put it in two places.
func (p *Pool) mine(h *Header) {
	if h.state != Received && h.state != Held {
		panic(&MisuseError{Kind: NotReceived, Frame: h.Index(), State: p.u.State(h)})
	}
}

// Hold makes a Received packet Held: GRO keeps it while segments may follow.
func (p *Pool) Hold(h *Header) {
	p.mine(h)
	p.move(h, h.state, Held)
	if h.Tail != 0 {
		p.moveRest(h)
	}
}

// moveRest brings the further buffers of a packet into the state of its first one: a packet is in one state.
func (p *Pool) moveRest(h *Header) {
	for b := p.u.Deref(h.Seg); b != nil; b = p.u.Deref(b.Seg) {
		p.move(b, b.state, h.state)
	}
}

// Append links s (Received or Held, with its own chain if it has one) to the end of head's chain, and into head's state.
// The caller sets s.Kind, s.Skip and head.Total.
func (p *Pool) Append(head, s *Header) {
	if s.state != head.state {
		p.move(s, s.state, head.state)
		p.moveRest(s)
	}
	head.Bufs += s.Bufs
	r := p.u.RefOf(s)
	if head.Tail == 0 {
		head.Seg = r
	} else {
		p.u.Deref(head.Tail).Seg = r
	}
	head.Tail = r
	if s.Tail != 0 {
		head.Tail = s.Tail
	}
}

// Deliver makes a packet, all buffers of its chain, Delivered with one reference, which sits in its first buffer. The
// others are not looked at, and keep the state that they had: following the chain is a cache miss per buffer, and who
// reads the packet, or frees it, follows it anyway (docs/adr/0006).
func (p *Pool) Deliver(h *Header) {
	p.mine(h)
	h.refs = 1 // plain: nobody else has the frame yet, and handing it over is what publishes it
	n := 1
	if h.Tail != 0 {
		n = int(h.Bufs)
	}
	p.counts[h.state] -= n
	p.counts[Delivered] += n
	h.state = Delivered
}

// Drop frees a packet that was never delivered, with its chain. Received or Held frames only.
func (p *Pool) Drop(h *Header) {
	p.mine(h)
	p.Deliver(h) // as freeChain wants it
	h.refs = 0
	p.freeChain(h)
}

// freeChain ends the life of a delivered packet: each buffer of its chain is free.
func (p *Pool) freeChain(h *Header) {
	if h.owner != 0 {
		p.discharge(h)
	}
	n := 0
	for {
		n++
		next := h.Seg
		p.push(h)
		if next == 0 {
			break
		}
		h = p.u.Deref(next)
	}
	p.counts[Delivered] -= n
}

// push makes a frame free. It comes from another state, whose total the caller corrects.
func (p *Pool) push(h *Header) {
	h.state = Free
	p.free.add(p.number(h))
	p.counts[Free]++
}

// number is h's in the pool. The header says it, but where the frame lies decides: one that was overwritten must not make
// another frame free.
func (p *Pool) number(h *Header) uint32 {
	off := p.u.chunkOf(h)
	if uint64(h.index)*p.u.stride == off {
		return h.index - p.lo
	}
	return uint32(off/p.u.stride) - p.lo
}
