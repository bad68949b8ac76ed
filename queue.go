package xrx

import (
	"sync/atomic"

	"xrx/fillring"
	"xrx/gro"
	"xrx/umem"
	"xrx/xsk"
)

// Queue is one rx queue: its socket, its frames, its poll loop. All of it belongs to one goroutine, its
// poller's.
type Queue struct {
	id           int // rx queue of the interface
	cfg          *Config
	mem          *umem.Umem
	pool         *umem.Pool
	sock         *xsk.Socket
	fill         *fillring.Refiller
	gro          *gro.Engine // nil: no merging
	tx           *onward     // nil: packets go to a consumer
	packetOffset int         // where a packet starts that has metadata in front of it; noMeta: none has

	handle Handler      // one of the two is set while running
	batch  BatchHandler //
	guard  guard
	mux    *lane // the Mux that batch is, or was in the last run

	handled map[string]uint64 // packets by a Mux's handlers, in runs before mux's
	in      []*umem.Header
	out     []Packet
	n       counters
	outlet  *outlet // to the workers; nil: there are none
	limit   int     // Config.Quota, in frames; at most 0: no limit

	chain   *umem.Header // first buffer of a packet whose last one has not come yet (nil: it was refused)
	full    int          // polls since GRO's held packets were last looked at
	inChain bool         // between a descriptor with XDP_PKT_CONTD and one without
	cut     bool         // a buffer of the chain was refused

	receiver    *Receiver
	poller      *poller     // whose goroutine this is
	metaRefused func() bool // the XDP program's word: asked once per poll that found packets

	driven     bool        // busy polling: the driver does its work inside this queue's system calls
	registered atomic.Bool // in the XSKMAP
	final      umem.Ledger // as it was when the memory was unmapped
}

// noMeta is where no packet starts.
const noMeta = -1

// Poll is user-space NAPI: it takes at most budget packets off the rx ring, merges, delivers, and keeps the kernel
// supplied with frames. It returns how many packets it took; a full budget means that more may wait.
func (q *Queue) Poll(budget int) int {
	q.pool.Reclaim() // frames that other goroutines released come home
	q.fill.Prepare() // the ring's cache lines come over from the kernel's processor meanwhile
	n := q.receive(budget)
	q.fill.Publish() // the kernel first: consumption may take its time
	ready := q.merge(n, budget)
	q.hand(ready)
	if n < budget {
		q.fill.Refill() // what was just released is still in cache
	}
	q.n.count(n, budget)
	return n
}

// receive takes up to budget packets off the rx ring into q.in. A descriptor that can't be right is counted by the
// pool and goes no further.
func (q *Queue) receive(budget int) int {
	taken := 0
	q.in = q.in[:0]
	for taken < budget {
		descs := q.sock.Rx.Peek(budget - taken)
		if len(descs) == 0 {
			break
		}
		for left := descs; len(left) > 0; {
			if !q.inChain {
				whole, bytes := q.pool.ReceiveWhole(left, q.in)
				n := len(whole) - len(q.in)
				q.in, left = whole, left[n:]
				q.n.packets += uint64(n)
				q.n.bytes += bytes
				if len(left) == 0 {
					break
				}
			}
			d := &left[0]
			left = left[1:]
			h, _ := q.pool.Receive(d.Addr, d.Len)
			if d.Options&xsk.PktContd != 0 || q.inChain {
				h = q.assemble(h, d.Options&xsk.PktContd != 0)
			}
			if h != nil {
				q.n.packets++
				q.n.bytes += uint64(h.Total)
				q.in = append(q.in, h)
			}
		}
		q.sock.Rx.Advance(len(descs))
		taken += len(descs)
	}
	if taken > 0 {
		q.sock.Rx.Release()
		if q.metaRefused() {
			q.pool.Distrust()
		}
	}
	return taken
}

// mergeMost is how many polls in a row may leave GRO's packets held because their budget was used up: the next poll
// follows at once and may bring what continues them. The kernel bounds this by time, a jiffy where HZ is 1000 (rule X4);
// full polls come fast, so counting them does, without a clock: 16 polls of 64 packets are 1 ms at a million packets a
// second, and less at any rate that fills a budget again and again.
const mergeMost = 16

// merge gives what was received to GRO and returns what is ready for delivery, in order.
func (q *Queue) merge(n, budget int) []*umem.Header {
	if q.gro == nil {
		return q.in
	}
	q.gro.ResetOut()
	q.gro.Receive(q.in)
	if q.full++; n < budget || q.full >= mergeMost || q.cfg.GRO.Flush > 0 {
		q.gro.EndPoll(q.now(), n == budget)
		q.full = 0
	}
	return q.gro.Out()
}

// hand is the way to the consumer: through workers, under a quota, or at once.
func (q *Queue) hand(ready []*umem.Header) {
	switch {
	case q.outlet != nil:
		q.handOver(ready)
	case q.limit > 0:
		q.ration(ready)
	default:
		q.deliver(ready)
	}
}

// deliver hands packets over: each to the handler, or as a batch. Where that panics (contain.go) it comes back with what
// is left.
func (q *Queue) deliver(ready []*umem.Header) {
	for len(ready) > 0 {
		switch {
		case q.tx != nil:
			ready = ready[q.forward(ready):]
		case q.handle != nil:
			ready = ready[q.each(ready):]
		case q.batch != nil:
			ready = ready[q.several(ready):]
		default: // the consumer has failed
			ready = ready[q.discard(ready):]
		}
	}
	if q.tx != nil {
		q.tx.Flush()
	}
}

// each hands packets to the handler. They come back here and are free at once. It returns how many are done with: all,
// or those up to one that panicked.
func (q *Queue) each(ready []*umem.Header) (done int) {
	whole, gen, lent, regained := false, uint32(0), 0, 0
	defer func() {
		q.pool.Settle(lent, regained)
		if !whole {
			q.caught(recover(), ready, done, gen)
		}
	}()
	for i, h := range ready {
		if h.Lend() {
			lent++
		} else {
			q.pool.Deliver(h)
		}
		q.n.delivered(h)
		done, gen = i+1, h.Gen()
		q.handle(Packet{h, q, gen})
		if q.pool.Regain(h, gen) {
			regained++
		} else {
			q.pool.ReleaseLocal(h, gen)
		}
	}
	whole = true
	return done
}

// several hands packets to the batch handler, whose they are from then on, and returns how many.
func (q *Queue) several(ready []*umem.Header) (done int) {
	whole := false
	defer func() {
		if !whole {
			q.caughtBatch(recover(), ready[done:])
		}
	}()
	done = min(len(ready), cap(q.out))
	q.out = q.out[:done]
	lent := 0
	for i, h := range ready[:done] {
		if h.Lend() {
			lent++
		} else {
			q.pool.Deliver(h)
		}
		q.n.delivered(h)
		q.out[i] = Packet{h, q, h.Gen()}
	}
	q.pool.Settle(lent, 0)
	q.batch(q.out)
	whole = true
	return done
}
