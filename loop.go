package xrx

import (
	"time"
)

// serve says who gets the queue's packets from now on.
func (q *Queue) serve(c Consumer) {
	q.guard = guard{name: "consumer", log: &q.receiver.panics, fatal: q.cfg.PanicFatal}
	switch c := c.(type) {
	case Handler:
		q.handle, q.batch = c, nil
	case BatchHandler:
		q.handle, q.batch = nil, c
	case *Mux:
		q.handled, q.mux = q.handledByNow(), newLane(c, &q.guard, true)
		q.handle, q.batch = nil, q.mux.deliver
	}
}

// register puts the queue's socket into the XSKMAP: from now on packets come here.
func (q *Queue) register() error {
	if err := q.receiver.prog.Register(q.id, q.sock.FD()); err != nil {
		return err
	}
	q.registered.Store(true)
	return nil
}

// unregister takes it out again: from now on packets go to the kernel.
func (q *Queue) unregister() error {
	if !q.registered.Swap(false) {
		return nil
	}
	return q.receiver.prog.Unregister(q.id)
}

// flush delivers what GRO holds and gives up a packet whose last buffer will not come. Nothing more arrives.
func (q *Queue) flush() {
	if q.gro != nil {
		q.gro.ResetOut()
		q.gro.FlushAll()
		q.hand(q.gro.Out())
	}
	if q.inChain {
		q.cut = true
		q.assemble(nil, false)
	}
	q.pool.Reclaim()
	if q.tx != nil {
		q.tx.Drain(q.cfg.CloseTimeout)
	}
	q.handle, q.batch = nil, nil
}

var start = time.Now()

// now is the receiver's clock in ns: monotonic, read once per poll and only where a hold timer needs it.
func now() int64 { return int64(time.Since(start)) }

func (q *Queue) now() int64 {
	if q.cfg.GRO.Flush == 0 {
		return 0
	}
	return now()
}
