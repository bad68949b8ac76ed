package xrx

import "xrx/umem"

// assemble puts multi-buffer packets together: every descriptor but a packet's last carries XDP_PKT_CONTD, and a
// packet may go on in the next batch. h is the descriptor's frame, nil if it was refused; more says that another
// follows. It returns the packet when it is complete. One with a refused buffer is dropped whole, and counted.
func (q *Queue) assemble(h *umem.Header, more bool) *umem.Header {
	head := q.chain
	switch {
	case h == nil:
		q.cut = true
	case head == nil:
		head = h
	default:
		h.Kind, head.Kind = umem.Fragment, umem.Head
		head.Total += h.Len
		q.pool.Append(head, h)
	}
	if more {
		q.chain = head
		q.inChain = true
		return nil
	}
	cut := q.cut
	q.chain, q.inChain, q.cut = nil, false, false
	if !cut {
		return head
	}
	q.n.cutChains++
	if head != nil {
		q.pool.Drop(head)
	}
	return nil
}
