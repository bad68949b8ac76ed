package umem

import "sync/atomic"

// Sending: a frame goes from the hands that have it to a tx ring and comes back, by its address alone, through the
// completion ring of the socket that sent it. Between the two the kernel or the device reads it, so nobody may write
// it. As everything else of a pool this belongs to its queue's goroutine.
//
// A packet is sent buffer by buffer, and in the order in which it is taken apart: from Send on each of its frames is
// Sending for itself, and is Free when its own completion comes, or when Recall takes it back because it was never
// posted. The chain's links stay until then.

// Send makes every buffer of a packet that the queue has in its hands (Received or Held) Sending.
func (p *Pool) Send(h *Header) {
	p.mine(h)
	p.sending(h, h.state)
}

// SendDelivered is Send for a packet that was delivered, by its only holder, whose handle has then ended. It reports
// false, and does nothing, if others hold the packet too: its bytes are not the sender's alone.
func (p *Pool) SendDelivered(h *Header, gen uint32) bool {
	switch h.Check(gen); {
	case h.state != Delivered:
		panic(p.blame(NotDelivered, h, gen))
	case atomic.LoadInt32(&h.refs) != 1:
		return false
	}
	h.refs = 0 // plain: nobody else may touch the count
	h.gen++
	p.sending(h, Delivered)
	return true
}

func (p *Pool) sending(h *Header, from State) {
	if h.owner != 0 { // no consumer has it any more
		p.discharge(h)
	}
	n := 0
	for b := h; b != nil; b = p.u.Deref(b.Seg) {
		b.state = Sending
		n++
	}
	p.counts[from] -= n
	p.counts[Sending] += n
}

// Recall frees one buffer that is Sending and was never posted to a tx ring. Read its Seg first.
func (p *Pool) Recall(h *Header) {
	if h.state != Sending {
		panic(&MisuseError{Kind: NotSent, Frame: h.Index(), State: p.u.State(h)})
	}
	p.sent(h)
}

// Address returns what a tx descriptor says of a buffer: chunk base plus offset, or base | offset<<48 for unaligned
// chunks (include/uapi/linux/if_xdp.h, XSK_UNALIGNED_BUF_OFFSET_SHIFT).
func (u *Umem) Address(h *Header) uint64 {
	if u.cfg.Unaligned {
		return u.chunkOf(h) | uint64(h.Off)<<48
	}
	return u.chunkOf(h) + uint64(h.Off)
}

// Completed frees the frame that an address from a completion ring names: the address of a tx descriptor, as it was
// posted (net/xdp/xsk.c, xsk_cq_submit_addr_locked). An address that can't be right is counted in Unsent and changes
// nothing: the frame, if there is one, stays what it is.
func (p *Pool) Completed(addr uint64) Fault {
	u := p.u
	base, _ := u.place(addr)
	if base >= u.end {
		return p.unsent(BadAddress)
	}
	h := u.at(base)
	switch {
	case h.magic != u.magicAt(base):
		return p.unsent(BadMagic)
	case h.state != Sending:
		return p.unsent(NotSending)
	case h.home != p.id:
		return p.unsent(NotHome)
	}
	p.sent(h)
	return NoFault
}

func (p *Pool) sent(h *Header) {
	p.counts[Sending]--
	p.push(h)
}

func (p *Pool) unsent(f Fault) Fault {
	p.Unsent[f]++
	return f
}

// TakeBackSent frees every frame that is Sending: once the socket that sent them is closed, no completion comes any
// more. In copy mode the kernel has its own copy of what is still on the way; a driver in zero-copy mode has stopped
// its queue before the close returns. It returns how many frames that were.
func (p *Pool) TakeBackSent() (n int) {
	for i := p.lo; i < p.hi && p.counts[Sending] > 0; i++ {
		if h := p.u.Frame(int(i)); h.state == Sending {
			p.Recall(h)
			n++
		}
	}
	return n
}

// Prepend moves the start of h's buffer n bytes forward, into the headroom, and reports whether there was room. The
// new bytes are whatever was there: XDP metadata, if the packet has any, so read that first.
func (u *Umem) Prepend(h *Header, n int) bool {
	if n > u.Headroom(h) {
		return false
	}
	h.Off -= uint16(n)
	h.Len += uint32(n)
	h.Total += uint32(n)
	return true
}
