package xrx

import (
	"fmt"
	"time"

	"xrx/gro"
	"xrx/stats"
	"xrx/txring"
	"xrx/umem"
	"xrx/xsk"
)

// pairing ties the queues of two interfaces together, number by number, so that a frame that was received on one can be
// sent on the other: all lie in one UMEM, which the first socket registers and every other one shares (XDP_SHARED_UMEM
// between interfaces, Linux 5.10). The kernel has one UMEM, one fill and one completion ring for each queue of an
// interface; so where both sides receive, each socket has all four rings, and the goroutine of the other side's queue
// uses its tx and completion ring. Frames stay at home: each side's queue has a pool of its own in the region.
type pairing struct {
	sides int         // receivers: 2, or 1 where packets go one way or back out of the same interface
	tx    int         // descriptors in each tx ring
	share *xsk.Socket // that registered the UMEM; nil: there is none yet
	mem   *umem.Umem
	pools []*umem.Pool // of queues that are still to come

	sender map[*Receiver]*Receiver // by whose interface: the receiver that sends on it
}

// sendMTU tells every sender of r what the MTU of the interface is that they send on.
func (r *Receiver) sendMTU(mtu int) {
	for _, p := range r.pollers {
		p.ask(func() {
			for _, q := range p.queues {
				q.tx.SetMTU(mtu)
			}
		})
	}
}

// memory gives the queues of r their pools, the first receiver's before those of the second.
func (p *pairing) memory(r *Receiver) (pools []*umem.Pool, err error) {
	n := len(r.queues)
	if p.mem == nil {
		region := r.cfg.region()
		region.Frames *= n * p.sides
		if p.mem, err = umem.New(region); err != nil {
			return nil, fmt.Errorf("xrx: one UMEM for %d queues: %w", n*p.sides, err)
		}
		if p.pools, err = p.mem.Split(n * p.sides); err != nil {
			return nil, fmt.Errorf("xrx: %w", err)
		}
	}
	r.mem = p.mem
	pools, p.pools = p.pools[:n], p.pools[n:]
	return pools, nil
}

// onward is where a queue's packets go.
type onward struct {
	*txring.Sender
	sock   *xsk.Socket
	pool   *umem.Pool
	iface  string
	filter func(Packet) bool
}

// txRetry is how long a queue sleeps at most while packets wait that the kernel had no memory or no room for.
const txRetry = 100 * time.Microsecond

// forward is deliver for packets that go on to another interface. It returns how many are done with.
func (q *Queue) forward(ready []*umem.Header) int {
	if q.tx.filter != nil {
		return q.forwardSome(ready)
	}
	for _, h := range ready {
		q.n.delivered(h)
		gro.Restore(q.mem, h)
		q.tx.Send(h)
	}
	return len(ready)
}

// forwardSome asks the filter first. It may have kept a packet: then others read it, and it can't be taken apart.
func (q *Queue) forwardSome(ready []*umem.Header) (done int) {
	if q.guard.failed != nil {
		return q.discard(ready)
	}
	whole, gen := false, uint32(0)
	defer func() {
		if !whole {
			q.caught(recover(), ready, done, gen)
		}
	}()
	for i, h := range ready {
		q.pool.Deliver(h)
		q.n.delivered(h)
		done, gen = i+1, h.Gen()
		switch {
		case !q.tx.filter(Packet{h, q, gen}):
			q.tx.Drop(h, gen, txring.Filtered)
		case !q.pool.SendDelivered(h, gen):
			q.tx.Drop(h, gen, txring.Shared)
		default:
			gro.Restore(q.mem, h)
			q.tx.Post(h)
		}
	}
	whole = true
	return done
}

// count adds what was sent, and what was not, to a copy of the queue's counters.
func (o *onward) count(s *stats.Queue) {
	t := &o.Stats
	s.Tx = stats.Tx{Packets: t.Packets, Bytes: t.Bytes, Completed: t.Completed, Kicks: t.Kicks, Checksums: t.Checksums, Tags: t.Tags, Faults: map[string]uint64{}}
	for r, n := range t.Drops {
		if n > 0 {
			s.Drops[txring.Reason(r).String()] = n
		}
	}
	for f, n := range o.pool.Unsent {
		if n > 0 {
			s.Tx.Faults[umem.Fault(f).String()] = n
		}
	}
	if k, err := o.sock.Stats(); err == nil {
		s.Tx.Invalid = k.TxInvalidDescs
	}
}

// failed says why nothing can be sent any more.
func (o *onward) failed() error {
	if isGone(o.Err()) {
		return fmt.Errorf("%w: %s", ErrDeleted, o.iface)
	}
	return fmt.Errorf("xrx: send on %s: %w", o.iface, o.Err())
}

// forwarding is the consumer of a receiver whose queues forward.
type forwarding struct{}

func (forwarding) consumer() {}
