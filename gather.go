package xrx

import "time"

// gatherer decides how a queue waits when its ring is empty: in poll(2) until the next packet, or asleep for a set
// time while packets gather.
//
// Being woken for a handful of packets costs the receiver a context switch and the sending processor a wakeup; at
// millions of packets a second that is most of the processor time there is (docs/adr/0002). So while packets come fast
// enough that a short sleep gathers many, sleep: the software form of a NIC's interrupt coalescing (rx-usecs). At low
// rates, and whenever a sleep gathered nothing, poll: then the first packet wakes the queue at once.
//
// How long is worth it depends on what a sleep costs, and machines differ: 2 us of processor time, or 20 in a virtual
// machine. Unless told, the gatherer measures that, and sleeps as long as keeps it small (docs/adr/0017).
type gatherer struct {
	most time.Duration // longest sleep; 0 = always poll
	room uint64        // packets that may gather without harm: half of what the rings hold
	last int64         // clock when last asked
	seen uint64        // packets received by then

	late time.Duration // how much longer sleeps take than asked for, smoothed

	tunes  bool          // most follows cost
	cost   time.Duration // processor time of a sleep, smoothed; 0: none measured yet
	sleeps uint          // since the last one that was measured
}

// gatherLeast is how many packets a sleep must promise: with fewer, a wakeup by poll is the better deal. A gatherer that
// tunes itself asks that of gatherFirst, which is 213,000 packets a second: that sleeps are dear is no reason to delay
// packets at lower rates.
const gatherLeast = 32

// What a gatherer that tunes itself does: a sleep as long as gatherWorth times its cost, within bounds. The shortest is
// what gathers more than a NAPI poll's worth at two million packets a second, the longest what a packet may be
// delayed. It begins with gatherFirst. Each measureEvery-th sleep is measured: two reads of the thread's clock, a
// microsecond or two.
const (
	gatherFirst  = 150 * time.Microsecond
	gatherWorth  = 16
	gatherShort  = 100 * time.Microsecond
	gatherLong   = 300 * time.Microsecond
	measureEvery = 64
	costMost     = 100 * time.Microsecond // beyond it was something else, like interrupts
)

// newGatherer makes one for sleeps of at most most; 0: tune it, negative: never sleep.
func newGatherer(most time.Duration, room int) gatherer {
	g := gatherer{most: max(0, most), room: uint64(room)}
	if most == 0 {
		g.most, g.tunes, g.sleeps = gatherFirst, true, measureEvery
	}
	return g
}

// sleep returns how long to sleep, 0 for poll. now is in ns, packets is the queue's count. What sleeps take longer than
// asked for is taken off, but for a quarter of the time at least: packets come meanwhile.
func (g *gatherer) sleep(now int64, packets uint64) time.Duration {
	got, elapsed := packets-g.seen, uint64(max(1, now-g.last))
	g.seen, g.last = packets, now
	try, span := g.most, g.most
	if g.tunes { // a long sleep is for what was seen for long: a burst is no rate
		try, span = min(try, gatherFirst), min(span, max(gatherShort, time.Duration(2*elapsed)))
	}
	if got*uint64(try)/elapsed < gatherLeast {
		return 0
	}
	if got*uint64(span)/elapsed > g.room {
		span = time.Duration(g.room * elapsed / got)
	}
	return max(span-g.late, span/4)
}

// woke is told how long a sleep of asked took.
func (g *gatherer) woke(asked, took time.Duration) {
	late := min(max(0, took-asked), gatherLong) // once in a while it was something else
	g.late += (late - g.late) / 8
}

// measures reports whether the sleep that follows is to be measured.
func (g *gatherer) measures() bool {
	g.sleeps++
	return g.tunes && g.sleeps > measureEvery
}

// slept is told what a sleep that was to be measured cost.
func (g *gatherer) slept(cost time.Duration) {
	g.sleeps = 0
	switch {
	case cost <= 0 || cost > costMost:
		return
	case g.cost == 0:
		g.cost = cost
	default:
		g.cost += (cost - g.cost) / 4
	}
	g.most = min(max(gatherShort, gatherWorth*g.cost), gatherLong)
}
