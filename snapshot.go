package xrx

import (
	"slices"
	"time"

	"xrx/bpf"
	"xrx/gro"
	"xrx/internal/sys"
	"xrx/stats"
	"xrx/umem"
)

// Snapshot returns all counters as they are now. Each queue's are copied by its poller's goroutine, which also
// walks its frames for the ledger. That takes about 30 ns a frame, so a queue with more than auditMost frames is only walked
// while it is not running; until then its ledger is the running totals.
func (r *Receiver) Snapshot() stats.Snapshot {
	r.mu.Lock() // not while Close takes things away
	defer r.mu.Unlock()
	s := stats.Snapshot{At: time.Now(), CPU: stats.CPU(sys.ProcessUsage()), XDP: map[string]uint64{}, Events: r.follow.counts.all()}
	if r.prog != nil {
		if c, err := r.prog.Counters(); err == nil {
			for reason, n := range c.Total {
				if n > 0 {
					s.XDP[bpf.Reason(reason).String()] = n
				}
			}
		}
	}
	r.tapCounts(&s)
	if r.cfg.Workers > 0 {
		s.Workers = make([]stats.Worker, r.cfg.Workers)
	}
	for _, p := range r.pollers {
		p.ask(func() {
			s.Queues = append(s.Queues, p.snapshots()...)
			for _, q := range p.queues {
				q.snapshotWorkers(s.Workers)
			}
		})
	}
	slices.SortFunc(s.Queues, func(a, b stats.Queue) int { return a.Queue - b.Queue })
	return s
}

// Ledger returns where every frame of every queue is.
func (r *Receiver) Ledger() (l umem.Ledger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pollers {
		p.ask(func() {
			for _, q := range p.queues {
				l = l.Add(q.ledger())
			}
		})
	}
	return l
}

// auditMost bounds the walk between two polls: at about 30 ns a frame, to a quarter of a millisecond.
const auditMost = 1 << 13

func (q *Queue) ledger() umem.Ledger {
	if q.pool == nil {
		return q.final
	}
	q.pool.Reclaim() // what was released is home, also where nothing polls
	if q.poller.mail.running && q.pool.Total() > auditMost {
		return q.pool.Counts()
	}
	return q.pool.Audit()
}

func (q *Queue) snapshot() stats.Queue {
	s := stats.Queue{
		Queue: q.id, Packets: q.n.packets, Bytes: q.n.bytes,
		Polls: q.n.polls, Squeezes: q.n.squeezes, Sleeps: q.n.sleeps, Wakeups: q.n.wakeups,
		Gather:     q.poller.gathers(),
		OutPackets: q.n.outPackets, OutSegments: q.n.outSegments, OutBytes: q.n.outBytes,
		FillPosted: q.fill.Stats.Posted, FillEmpty: q.fill.Stats.Empty, FillShort: q.fill.Stats.Short,
		FillSize: q.fill.Want(), Ledger: q.ledger(), Drops: map[string]uint64{},
	}
	for f, n := range q.faults() {
		if n > 0 {
			s.Drops["descriptor_"+umem.Fault(f).String()] = n
		}
	}
	if q.n.cutChains > 0 {
		s.Drops["cut_chain"] = q.n.cutChains
	}
	if q.n.overQuota > 0 {
		s.Drops[stats.Quota] = q.n.overQuota
	}
	if q.guard.log != nil {
		c := q.guard.log.counts(q.id)
		s.Panics = c.by
		if c.lost > 0 {
			s.Drops["panic"] = c.lost
		}
		if c.unseen > 0 {
			s.Drops["after_panic"] = c.unseen
		}
	}
	s.Handled = q.handledByNow()
	if q.tx != nil {
		q.tx.count(&s)
	}
	if q.outlet != nil {
		q.outlet.snapshot(&s)
	}
	if q.gro != nil {
		s.GROIn, s.GROOut, s.GRO = groCounts(q.gro.Stats())
	}
	if q.sock != nil {
		s.FillLevel, s.RxLevel = q.fill.Level(), q.sock.Rx.Level()
		if k, err := q.sock.Stats(); err == nil {
			s.Kernel = stats.Kernel{RxDropped: k.RxDropped, RxInvalidDescs: k.RxInvalidDescs, RxRingFull: k.RxRingFull, RxFillRingEmptyDescs: k.RxFillRingEmptyDescs}
		}
	}
	return s
}

// snapshots copies the counters of the poller's queues. Its thread's time is the first one's.
func (p *poller) snapshots() []stats.Queue {
	out := make([]stats.Queue, 0, len(p.queues))
	for _, q := range p.queues {
		out = append(out, q.snapshot())
	}
	if p.mail.running {
		out[0].CPU = stats.CPU(sys.ThreadUsage())
	}
	return out
}

// tapCounts adds what taps keep and missed. Any goroutine may read that.
func (r *Receiver) tapCounts(s *stats.Snapshot) {
	for _, m := range r.muxes {
		for _, t := range m.tapping() {
			if s.Missed == nil {
				s.Missed, s.Kept = map[string]uint64{}, map[string]uint64{}
			}
			s.Missed[t.name] += t.missed.Load()
			s.Kept[t.name] += uint64(t.held.Load())
		}
	}
}

// groCounts sums up why packets were not merged, or not merged any further, by reason.
func groCounts(g *gro.Stats) (in, out uint64, reasons map[string]uint64) {
	reasons = make(map[string]uint64)
	for r := range gro.NumReasons {
		if n := g.Normal[r] + g.Flush[r]; n > 0 {
			reasons[r.String()] = n
		}
	}
	return g.In, g.Out, reasons
}

func (q *Queue) faults() [umem.NumFaults]uint64 {
	if q.pool == nil {
		return [umem.NumFaults]uint64{}
	}
	return q.pool.Faults
}

// Registered reports whether every queue receives now: the moment from which Run has taken the traffic.
func (r *Receiver) Registered() bool {
	for _, q := range r.queues {
		if !q.registered.Load() {
			return false
		}
	}
	return true
}
