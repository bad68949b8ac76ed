package xrx_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"xrx/bpf"
	"xrx/stats"
)

// live goes from stretches in which every frame is accounted for to disturbances and back.
func (s *soak) live(d time.Duration) {
	began := time.Now()
	warmAt := min(d/4, time.Minute)
	var last soakMemory
	for round := 0; time.Since(began) < d || round < 4; round++ {
		s.calm()
		s.disturb(round)
		if s.warm.heap == 0 && time.Since(began) >= warmAt && s.deletions > 0 {
			s.warm = s.memory()
		}
	}
	eventually(s.t, soakPatience, "no more goroutines than there were", func() bool {
		last = s.memory()
		return last.goroutines <= s.warm.goroutines
	})
	if last.heap > s.warm.heap+soakGrowth {
		s.t.Errorf("the heap has grown from %d to %d bytes", s.warm.heap, last.heap)
	}
	if s.flaps == 0 || s.deletions == 0 || s.panics.Load() == 0 || s.exact == 0 {
		s.t.Errorf("something did not happen: %d flaps, %d deletions, %d panics, %d frames", s.flaps, s.deletions, s.panics.Load(), s.exact)
	}
	// These come by chance, and sometimes not within seconds.
	if d >= 30*time.Second && (s.restarts == 0 || s.matches == 0 || s.stalls.Load() == 0 || s.owners.limited.Load() == 0 || s.drops[stats.Quota] == 0) {
		s.t.Errorf("something did not happen: %d restarts, %d filters, %d stalls, %d limits; dropped %v", s.restarts, s.matches, s.stalls.Load(), s.owners.limited.Load(), s.drops)
	}
	s.t.Logf("%v: %d frames sent with the links up, all accounted for; %d while they were not, %d of those vanished", time.Since(began).Round(time.Second), s.exact, s.disturbed, s.vanished)
	s.t.Logf("%d flaps, %d deletions, %d restarts of Run, %d filters; %d panics, %d stalls of handlers", s.flaps, s.deletions, s.restarts, s.matches, s.panics.Load(), s.stalls.Load())
	s.t.Logf("%d packets held in the tree, as %d nodes, %d times stolen, %d times refused for a limit", s.owners.held.Load(), s.owners.nodes.Load(), s.owners.stolen.Load(), s.owners.limited.Load())
	s.t.Logf("dropped %v, taps missed %v; heap %d -> %d bytes, goroutines %d -> %d", s.drops, s.Snapshot().Missed, s.warm.heap, last.heap, s.warm.goroutines, last.goroutines)
}

// soakGrowth is what live objects may differ by between two moments of rest: maps and buffers that have found their size
// since. A packet that leaked one byte would show: a soak of ten minutes has millions.
const soakGrowth = 3 << 20

// calm lets traffic flow with the links up, while filters are replaced and Run is restarted, and accounts for every frame.
func (s *soak) calm() {
	before := s.account()
	s.traffic.goOn()
	for range 1 + s.rng.IntN(4) {
		<-time.After(time.Duration(100+s.rng.IntN(200)) * time.Millisecond) // how long the stretch is, not what it waits for
		switch s.rng.IntN(3) {
		case 0:
			if err := s.SetMatch([]string{"", "udp or tcp", "udp", "not ip6", "tcp or ether proto 0x88b5"}[s.rng.IntN(5)]); err != nil {
				s.t.Error(err)
			}
			s.matches++
		case 1:
			if s.restarts > 0 && s.rng.IntN(3) > 0 {
				continue
			}
			s.restarts++
			s.stop()
			s.start()
		}
	}
	s.traffic.pause()
	s.settled(before)
	if err := s.SetMatch(""); err != nil {
		s.t.Error(err)
	}
}

// settled waits until all that was sent since then is accounted for.
func (s *soak) settled(before soakAccount) {
	s.t.Helper()
	var now soakAccount
	for deadline := time.Now().Add(soakPatience); ; time.Sleep(5 * time.Millisecond) {
		now = s.account()
		if now.minus(before).open() == "" {
			break
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("after %v: %s", soakPatience, now.minus(before).open())
		}
	}
	s.exact += now.sent - before.sent
}

// disturb takes the links down or away and brings them back, while frames are sent.
func (s *soak) disturb(round int) {
	before := s.account()
	s.traffic.goOn()
	pause := func() { <-time.After(time.Duration(10+s.rng.IntN(100)) * time.Millisecond) }
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	pause()
	switch what := s.rng.IntN(6); {
	case what == 0 || s.deletions == 0 && round > 0:
		s.deletions++
		must(s.n.B.Delete())
		eventually(s.t, soakPatience, "the deletion is noticed", func() bool { return !s.Registered() })
		pause()
		s.n.Recreate()
		s.traffic.to(s.t)
	case what < 4:
		for range 1 + s.rng.IntN(3) {
			s.flaps++
			must(s.n.B.Down())
			pause()
			must(s.n.B.Up())
		}
	default:
		s.flaps++
		must(s.n.A.Down())
		pause()
		must(s.n.A.Up())
	}
	eventually(s.t, soakPatience, "the queues are registered again", s.Registered)
	seen := s.seen.Load()
	eventually(s.t, soakPatience, "packets come again", func() bool { return s.seen.Load() > seen+100 })
	s.traffic.pause()
	s.quiet()
	d := s.account().minus(before)
	if d.reached() > d.sent {
		s.t.Errorf("more came than was sent: %+v", d)
	}
	s.disturbed += d.sent
	s.vanished += d.sent - min(d.sent, d.reached())
}

// quiet returns when nothing moves any more.
func (s *soak) quiet() {
	last, same := s.account(), 0
	eventually(s.t, soakPatience, "nothing moves any more", func() bool {
		<-time.After(20 * time.Millisecond)
		now := s.account()
		if same++; now != last || !now.consumed() {
			same = 0
		}
		last = now
		return same == 5
	})
}

// soakAccount is where all frames are that were ever sent.
type soakAccount struct {
	sent      uint64 // taken from the sender by the kernel
	full      uint64 // dropped in front of b0: the ring of the pair was full
	passed    uint64 // left to the kernel: not matched, or Run did not run
	taken     uint64 // redirected to a socket
	refused   uint64 // of those: the socket had no frame, or no room in its rx ring
	packets   uint64 // taken off the rx ring
	merged    uint64 // into how many packets GRO made them
	delivered uint64 // of those
	dropped   uint64 // of those, by name
	segments  uint64 // frames that were delivered
	seen      uint64 // by handlers
	waiting   int    // packets in rx rings, with GRO and in backlogs
}

func (s *soak) account() (a soakAccount) {
	now := s.Snapshot()
	a.sent, a.seen = s.traffic.sent.Load(), s.seen.Load()
	if l, err := s.n.A.Stats(); err == nil {
		a.full = l.TxDropped
	}
	for _, r := range []bpf.Reason{bpf.NotMatched, bpf.NoSocket, bpf.Disabled} {
		a.passed += now.XDP[r.String()]
	}
	a.taken = now.XDP[bpf.Redirected.String()]
	s.drops = map[string]uint64{}
	for _, q := range now.Queues {
		a.refused += q.Kernel.Lost()
		a.packets += q.Packets
		a.merged += q.GROOut
		a.delivered += q.OutPackets
		a.segments += q.OutSegments
		for reason, n := range q.Drops {
			s.drops[reason] += n
			if reason != "panic" { // those were delivered
				a.dropped += n
			}
		}
		a.waiting += q.RxLevel + q.Ledger.Held + q.Ledger.Received
	}
	for _, w := range now.Workers {
		a.waiting += w.Backlog
	}
	return a
}

func (a soakAccount) minus(b soakAccount) soakAccount {
	return soakAccount{a.sent - b.sent, a.full - b.full, a.passed - b.passed, a.taken - b.taken, a.refused - b.refused, a.packets - b.packets, a.merged - b.merged,
		a.delivered - b.delivered, a.dropped - b.dropped, a.segments - b.segments, a.seen - b.seen, a.waiting}
}

// reached is how many frames came as far as the XDP program.
func (a soakAccount) reached() uint64 { return a.passed + a.taken }

// consumed reports whether all that was received has been delivered or dropped.
func (a soakAccount) consumed() bool {
	return a.waiting == 0 && a.merged == a.delivered+a.dropped && a.segments == a.seen
}

// open says what is not accounted for.
func (a soakAccount) open() string {
	if a.sent == a.full+a.reached() && a.taken == a.refused+a.packets && a.consumed() {
		return ""
	}
	return fmt.Sprintf("not all is accounted for: %+v", a)
}

// soakNeverLess checks that no count goes back.
func soakNeverLess(t *testing.T, before, now stats.Snapshot) {
	t.Helper()
	less := func(what string, a, b uint64) {
		if b < a {
			t.Errorf("%s went back from %d to %d", what, a, b)
		}
	}
	for reason, n := range before.XDP {
		less("xdp "+reason, n, now.XDP[reason])
	}
	for i, q := range before.Queues {
		r := now.Queues[i]
		less("packets", q.Packets, r.Packets)
		less("delivered", q.OutPackets, r.OutPackets)
		less("polls", q.Polls, r.Polls)
		for name, n := range q.Drops {
			less(name, n, r.Drops[name])
		}
		for name, n := range q.Panics {
			less("panics of "+name, n, r.Panics[name])
		}
		for name, n := range q.Handled {
			less("packets of "+name, n, r.Handled[name])
		}
	}
	for i, w := range before.Workers {
		less("packets of a worker", w.Packets, now.Workers[i].Packets)
		for name, n := range w.Drops {
			less("a worker's "+name, n, now.Workers[i].Drops[name])
		}
	}
	for name, n := range before.Missed {
		less("missed by "+name, n, now.Missed[name])
	}
}

// scrape asks for the metrics as Prometheus does.
func scrape(t *testing.T, h http.Handler) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "xrx_") {
		t.Errorf("metrics: %d, %d bytes", w.Code, w.Body.Len())
	}
}
