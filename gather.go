package xrx

import "time"

// gatherer decides how a queue waits when its ring is empty: in poll(2) until the next packet, or asleep for a set
// time while packets gather.
//
// Being woken for a handful of packets costs the receiver a context switch and the sending processor a wakeup; at
// millions of packets a second that is most of the processor time there is (docs/adr/0002). So while packets come fast
// enough that a short sleep gathers many, sleep: the software form of a NIC's interrupt coalescing (rx-usecs). At low
// rates, and whenever a sleep gathered nothing, poll: then the first packet wakes the queue at once.
type gatherer struct {
	most time.Duration // longest sleep; 0 = always poll
	room uint64        // packets that may gather without harm: half of what the rings hold
	last int64         // clock when last asked
	seen uint64        // packets received by then
}

// gatherLeast is how many packets a sleep must promise: with fewer, a wakeup by poll is the better deal.
const gatherLeast = 32

// sleep returns how long to sleep, 0 for poll. now is in ns, packets is the queue's count.
func (g *gatherer) sleep(now int64, packets uint64) time.Duration {
	got, elapsed := packets-g.seen, uint64(max(1, now-g.last))
	g.seen, g.last = packets, now
	expect := got * uint64(g.most) / elapsed
	switch {
	case expect < gatherLeast:
		return 0
	case expect > g.room:
		return time.Duration(g.room * elapsed / got)
	}
	return g.most
}
