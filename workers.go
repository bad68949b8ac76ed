package xrx

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"xrx/stats"
	"xrx/steer"
	"xrx/umem"
)

// With Config.Workers packets are handed from the queues' goroutines to workers, and the consumer is called there.

// outlet is a queue's side of the workers: its pollers' goroutine alone writes it.
type outlet struct {
	port  *steer.Port[Packet] // of the Run that goes on, or of the last one
	feeds []feed              // by worker
}

// feed is what a queue counted on the way to one worker.
type feed struct {
	backlogFull, overQuota, closeTimeout uint64 // packets dropped
	most                                 int    // high-water mark of earlier Runs
	done                                 *done
}

// done is what the worker counted: once per batch. One that a Run has given up on may still be there when the next Run has
// its own, hence the additions are atomic, or locked.
type done struct {
	packets, segments, bytes atomic.Uint64 // handed to the consumer

	mu      sync.Mutex
	handled map[string]uint64 // by the handlers of a Mux; nil without
}

func newOutlet(workers int) *outlet {
	o := &outlet{feeds: make([]feed, workers)}
	for w := range o.feeds {
		o.feeds[w].done = new(done)
	}
	return o
}

// handOver gives each packet to the worker of its flow, or drops it where that one's backlog or quota is full.
func (q *Queue) handOver(ready []*umem.Header) {
	o := q.outlet
	for i, h := range ready {
		if i+metaAhead < len(ready) {
			ready[i+metaAhead].Fetch(0)
		}
		w := steer.Of(q.flow(h), len(o.feeds))
		owner := umem.Owner(w + 1)
		switch {
		case o.port.Full(w):
			o.feeds[w].backlogFull++
			q.pool.Drop(h)
		case q.limit > 0 && !q.pool.Admits(h, owner, q.limit) && !(q.pool.Reclaim() > 0 && q.pool.Admits(h, owner, q.limit)):
			o.feeds[w].overQuota++
			q.pool.Drop(h)
		default:
			q.pool.Deliver(h)
			q.pool.Charge(h, owner)
			o.port.Put(w, Packet{h, q, h.Gen()})
		}
	}
	o.port.Flush()
}

// metaAhead is how many packets before its turn a packet's metadata is asked for: another processor wrote it.
const metaAhead = 8

// flow returns a packet's flow hash: the XDP program's, or the same calculated here where its metadata is missing.
func (q *Queue) flow(h *umem.Header) uint32 {
	if hash := h.Meta(q.packetOffset).Hash; hash != 0 {
		return hash
	}
	return steer.Hash(h.Bytes(), q.receiver.seed)
}

// staff are the workers of one Run.
type staff struct {
	crew   *steer.Crew[Packet]
	queues []*Queue
	guards []*guard      // by worker
	posts  []post        // by worker, then by queue
	fatal  chan struct{} // has one element when a guard says that the consumer has failed
}

// post is the consumer as one worker calls it with the packets of one queue; its goroutine's alone. Panics end in the
// guard.
type post struct {
	deliver func([]Packet)
	mux     *lane // the Mux that it is
}

// workerBatch is the most packets that a worker takes at once: what it has handled goes home together.
const workerBatch = 64

// hire starts the workers of a Run.
func (r *Receiver) hire(c Consumer) *staff {
	s := &staff{queues: r.queues, fatal: make(chan struct{}, 1)}
	for range r.cfg.Workers {
		g := &guard{name: "consumer", log: &r.panics, fatal: r.cfg.PanicFatal}
		s.guards = append(s.guards, g)
		for range r.queues {
			p := post{deliver: g.batches(c)}
			if m, ok := c.(*Mux); ok {
				p.mux = newLane(m, g, false)
				p.deliver = p.mux.deliver
			}
			s.posts = append(s.posts, p)
		}
	}
	s.crew = steer.New(steer.Config[Packet]{Workers: r.cfg.Workers, Producers: len(r.queues), Backlog: r.cfg.Backlog,
		Batch: min(r.cfg.Budget, workerBatch), Handle: s.work})
	for i, q := range r.queues {
		q.poller.ask(func() { q.outlet.open(s.crew.Port(i)) })
	}
	s.crew.Start()
	return s
}

// open makes a Run's port the queue's, and keeps what the last one had seen.
func (o *outlet) open(p *steer.Port[Packet]) {
	if o.port != nil {
		for w := range o.feeds {
			o.feeds[w].most = max(o.feeds[w].most, o.port.HighWater(w))
		}
	}
	o.port = p
}

// work is called on a worker's goroutine with packets of one queue.
func (s *staff) work(worker, queue int, batch []Packet) {
	g, p, d := s.guards[worker], &s.posts[worker*len(s.queues)+queue], s.queues[queue].outlet.feeds[worker].done
	if g.failed != nil {
		g.discard(batch)
		return
	}
	segments, bytes, discarded := uint64(0), uint64(0), g.discarded
	for _, p := range batch {
		segments += uint64(p.h.Segs)
		bytes += uint64(p.h.Total)
	}
	defer func() { // also where the consumer ends the goroutine
		d.packets.Add(uint64(len(batch)) - (g.discarded - discarded))
		d.segments.Add(segments)
		d.bytes.Add(bytes)
		if p.mux != nil {
			d.countHandled(p.mux)
		}
		if g.failed != nil {
			select {
			case s.fatal <- struct{}{}:
			default:
			}
		}
	}()
	p.deliver(batch)
}

// countHandled moves the counts of a Mux's handlers to where others may read them.
func (d *done) countHandled(l *lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.handled == nil {
		d.handled = map[string]uint64{}
	}
	for i, n := range l.counts {
		if n > 0 {
			d.handled[l.t.names[i]] += n
			l.counts[i] = 0
		}
	}
}

// failed tells when the consumer has failed, and Run must end. There may be no workers.
func (s *staff) failed() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.fatal
}

// StalledError says that workers were still in the consumer's hands, or far behind, when Run ran out of patience
// (Config.CloseTimeout). What they had not been given is dropped, and counted by worker as close_timeout. A worker that
// stalls is left alone: it ends when the consumer is done with the batch that it was given (at most 64 packets), and what
// it holds stays valid.
type StalledError struct {
	Workers []int
	Dropped int // packets of their backlogs
}

func (e *StalledError) Error() string {
	return fmt.Sprintf("xrx: workers %v had not handled their backlogs when Run ended: %d packets dropped (close_timeout)", e.Workers, e.Dropped)
}

// dismiss ends the workers of a Run, whose queues have handed over their last packets, and says what went wrong.
func (s *staff) dismiss(patience time.Duration) error {
	var errs []error
	left := s.crew.Stop(time.Now().Add(patience))
	for w := range s.guards { // of a stalled worker nothing can be asked
		if !slices.ContainsFunc(left, func(l steer.Left[Packet]) bool { return l.Worker == w }) {
			errs = append(errs, s.guards[w].err())
		}
	}
	if len(left) > 0 {
		errs = append(errs, s.abandon(left))
	}
	return joinOnce(errs)
}

// abandon drops what stalled workers have not been given.
func (s *staff) abandon(left []steer.Left[Packet]) error {
	stalled := &StalledError{}
	for _, l := range left {
		stalled.Workers = append(stalled.Workers, l.Worker)
		stalled.Dropped += len(l.Items)
		for _, p := range l.Items {
			p.q.poller.ask(func() { p.q.outlet.feeds[l.Worker].closeTimeout++ })
		}
		Release(l.Items)
	}
	return stalled
}

// snapshotWorkers adds what the queue counted for each worker.
func (q *Queue) snapshotWorkers(workers []stats.Worker) {
	for i := range workers {
		w, l := &workers[i], &q.outlet.feeds[i]
		w.Worker = i
		w.Packets += l.done.packets.Load()
		w.Segments += l.done.segments.Load()
		w.Bytes += l.done.bytes.Load()
		for reason, n := range l.drops() {
			w.Count(reason, n)
		}
		most := l.most
		if p := q.outlet.port; p != nil {
			w.Backlog += p.Level(i)
			most = max(most, p.HighWater(i))
		}
		w.HighWater = max(w.HighWater, most)
		if q.pool != nil {
			w.Held += q.pool.Charged(umem.Owner(i + 1))
		}
	}
}

// snapshot adds to a queue's counters what its workers did: delivered is what the consumer was given.
func (o *outlet) snapshot(s *stats.Queue) {
	if s.Handled = maps.Clone(s.Handled); s.Handled == nil {
		s.Handled = map[string]uint64{}
	}
	for i := range o.feeds {
		l := &o.feeds[i]
		s.OutPackets += l.done.packets.Load()
		s.OutSegments += l.done.segments.Load()
		s.OutBytes += l.done.bytes.Load()
		l.done.mu.Lock()
		for name, n := range l.done.handled {
			s.Handled[name] += n
		}
		l.done.mu.Unlock()
		for reason, n := range l.drops() {
			if n > 0 {
				s.Drops[reason] += n
			}
		}
	}
}

func (l *feed) drops() map[string]uint64 {
	return map[string]uint64{stats.BacklogFull: l.backlogFull, stats.Quota: l.overQuota, stats.CloseTimeout: l.closeTimeout}
}
