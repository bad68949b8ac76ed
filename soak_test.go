package xrx_test

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/consume/fanout"
	flowtable "xrx/consume/flows"
	"xrx/gro"
	"xrx/internal/testnet"
	"xrx/metrics"
	"xrx/stats"
	"xrx/umem"
)

// soakFor is how long a soak goes on: XRX_SOAK ("10m"; make soak sets it), else a few seconds.
func soakFor(t testing.TB) time.Duration {
	d := 6 * time.Second
	if s := os.Getenv("XRX_SOAK"); s != "" {
		var err error
		if d, err = time.ParseDuration(s); err != nil {
			t.Fatalf("XRX_SOAK: %v", err)
		}
	} else if testing.Short() {
		d = 4 * time.Second
	}
	return d
}

// Everything at once, at random: a Mux with handlers and taps whose consumers stall and panic, an ownership tree that
// several goroutines change, quotas that are hit, filters that are replaced, links that go down and interfaces that are
// deleted, with somebody asking for the counters all the time.
//
// The soak takes turns. While the links are up every frame that was sent is accounted for exactly: delivered, dropped by
// name, left to the kernel by the filter, or counted by the kernel as dropped. While a link goes down and comes back, or the
// interface is deleted and made again, frames vanish where nobody counts: of those no more than were sent may be accounted
// for, and how many were not is printed.
func TestSoak(t *testing.T) {
	soaked(t, soakFor(t), xrx.Config{Workers: 3, Quota: 48, Backlog: 32})
}

// The same where packets are delivered on the queues' goroutines, with one thread and one UMEM for both.
func TestSoakWithoutWorkers(t *testing.T) {
	soaked(t, soakFor(t)/2, xrx.Config{Threads: 1, SharedUmem: true, Quota: 120})
}

type soak struct {
	*xrx.Standing
	t       *testing.T
	n       *testnet.Net
	rng     *rand.Rand
	seed    uint64
	traffic *soakTraffic
	owners  *soakOwners
	mux     xrx.Mux
	kept    chan xrx.Kept
	flows   *flowtable.Table
	fan     *fanout.Fanout

	cancel context.CancelFunc // of the Run that goes on
	done   chan error
	order  [soakFlows]uint64 // least sequence number that may come: the goroutine's that has the flow
	seen   atomic.Uint64     // frames that handlers were given
	panics atomic.Uint64
	stalls atomic.Uint64

	exact, disturbed, vanished uint64 // frames sent while links were up, while they were not, and of those not accounted for
	restarts, flaps, deletions int
	matches                    int
	drops                      map[string]uint64
	warm                       soakMemory
}

// soakMemory is what must not grow.
type soakMemory struct {
	heap       uint64
	goroutines int
}

func soaked(t *testing.T, d time.Duration, cfg xrx.Config) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	s := &soak{t: t, seed: testnet.Seed(t), kept: make(chan xrx.Kept, 96)}
	s.rng = rand.New(rand.NewPCG(s.seed, 0))
	s.n = testnet.New(t, testnet.Options{Queues: 2})
	s.owners = newSoakOwners(t, s.seed, 4, 48)
	s.register()
	cfg.Frames, cfg.GRO, cfg.OnPanic, cfg.CloseTimeout = 2048, &gro.Config{}, func(*xrx.PanicError) {}, 20*time.Second
	s.n.InB(func() {
		var err error
		if s.Standing, err = xrx.NewStanding("b0", &cfg); err != nil {
			t.Fatal(err)
		}
	})
	s.start()
	s.traffic = &soakTraffic{n: s.n, paused: true}
	s.traffic.to(t)

	quit, all := make(chan struct{}), sync.WaitGroup{}
	stop := sync.OnceFunc(func() { close(quit); all.Wait() })
	t.Cleanup(func() { // where it fails in the middle
		stop()
		s.cancel()
		s.traffic.s.Close()
	})
	all.Go(func() { s.traffic.run(quit, rand.New(rand.NewPCG(s.seed, 1))) })
	for _, o := range s.owners.owners {
		all.Go(func() { o.run(quit) })
	}
	for i := range 2 {
		all.Go(func() { s.keeper(quit, rand.New(rand.NewPCG(s.seed, uint64(10+i)))) })
	}
	all.Go(func() { s.watch(quit) })
	s.live(d)
	stop()
	s.end()
}

// register makes the Mux: all kinds of consumers.
func (s *soak) register() {
	tap := func(name string, frames int, see func(*xrx.Tap, xrx.Packet)) {
		if _, err := s.mux.Tap(name, frames, see); err != nil {
			s.t.Fatal(err)
		}
	}
	var err error
	if s.flows, err = flowtable.New(nil); err != nil {
		s.t.Fatal(err)
	}
	slow := &soakWriter{rng: rand.New(rand.NewPCG(s.seed, 2))}
	if s.fan, err = fanout.New([]io.Writer{slow, io.Discard}, &fanout.Config{Mode: fanout.Hash}); err != nil {
		s.t.Fatal(err)
	}
	tap("copies", 0, func(_ *xrx.Tap, p xrx.Packet) {
		one := []xrx.Packet{p}
		s.flows.Count(one)
		s.fan.Copy(one)
	})
	tap("keeper", cap(s.kept), func(t *xrx.Tap, p xrx.Packet) {
		if k, ok := t.Keep(p); ok {
			s.kept <- k // there is room for all that it may keep
		}
	})
	tap("panics", 0, func(_ *xrx.Tap, p xrx.Packet) {
		if draw := s.draw(p, 3); draw%700 == 0 {
			s.panics.Add(1)
			panic("a tap's")
		}
	})
	for _, err := range []error{s.mux.UDP(9, s.handle), s.mux.TCP(80, s.handle), s.mux.EtherType(soakType, s.handle), s.mux.Default(s.handle)} {
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// draw is a random number that depends on the packet and the seed alone.
func (s *soak) draw(p xrx.Packet, stream uint64) uint64 {
	b := p.Data()
	return rand.New(rand.NewPCG(s.seed^stream, hash(b[:min(len(b), 80)]))).Uint64()
}

// handle looks at every byte, and then holds the packet, stalls or panics.
func (s *soak) handle(p xrx.Packet) {
	s.seen.Add(uint64(p.Count()))
	if _, err := soakPacket(p, nil, s.next); err != nil {
		s.t.Errorf("queue %d: %v", p.Queue(), err)
	}
	draw := s.draw(p, 4)
	if draw%6 == 0 {
		s.owners.hold(p, draw>>8)
	}
	if draw>>16%4000 == 0 {
		s.stalls.Add(1)
		time.Sleep(time.Duration(1+draw>>32%40) * time.Millisecond)
	}
	if draw>>40%300 == 0 {
		s.panics.Add(1)
		panic("a handler's")
	}
}

func (s *soak) next(flow uint32, seq uint64) error {
	if seq < s.order[flow] {
		s.t.Errorf("flow %d: frame %d after %d", flow, seq, s.order[flow]-1)
	}
	s.order[flow] = seq + 1
	return nil
}

// keeper lets go of what the tap keeps, and is slow now and then.
func (s *soak) keeper(quit <-chan struct{}, rng *rand.Rand) {
	var buf []byte
	for {
		select {
		case <-quit:
			return
		case k := <-s.kept:
			var err error
			if buf, err = soakPacket(k.Packet(), buf, nil); err != nil {
				s.t.Errorf("a packet has changed while a tap kept it: %v", err)
			}
			if rng.IntN(2000) == 0 {
				time.Sleep(time.Duration(1+rng.IntN(50)) * time.Millisecond)
			}
			k.Release()
		}
	}
}

// soakWriter is slow now and then.
type soakWriter struct{ rng *rand.Rand }

func (w *soakWriter) Write(b []byte) (int, error) {
	if w.rng.IntN(100) == 0 {
		time.Sleep(time.Duration(w.rng.IntN(30)) * time.Millisecond)
	}
	return len(b), nil
}

// watch asks for everything that can be asked for while the receiver lives, and checks the ledger.
func (s *soak) watch(quit <-chan struct{}) {
	collector := metrics.NewCollector("b0", func() stats.Mode { return stats.Mode{Attach: s.Mode().Attach, Bind: s.Mode().Bind} }, time.Now(), s)
	handler, err := metrics.Handler(collector)
	if err != nil {
		s.t.Error(err)
		return
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	before := s.Snapshot()
	for i := 0; ; i++ {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		now := s.Snapshot()
		soakNeverLess(s.t, before, now)
		before = now
		if i%10 == 0 {
			scrape(s.t, handler)
		}
		if i%50 == 0 {
			if l := s.Ledger(); l.Lost != 0 || l.Free+l.Filling+l.Received+l.Held+l.Delivered+l.Sending != l.Total {
				s.t.Errorf("ledger: %v", l)
			}
		}
	}
}

// start runs the receiver.
func (s *soak) start() {
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	done := make(chan error, 1)
	s.done = done
	go func() { done <- s.Run(ctx, &s.mux) }()
	eventually(s.t, soakPatience, "the queues are registered", func() bool { return s.Registered() || len(done) > 0 })
}

func (s *soak) stop() {
	s.cancel()
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Errorf("Run returned %v", err)
		}
	case <-time.After(soakPatience):
		s.t.Fatalf("Run goes on %v after it was to end", soakPatience)
	}
}

// soakPatience is how long a busy machine may take for what takes milliseconds on an idle one.
const soakPatience = 60 * time.Second

func (s *soak) memory() soakMemory { return soakMemory{heap(), runtime.NumGoroutine()} }

// end stops everything and checks that it is where it belongs.
func (s *soak) end() {
	s.stop()
	for len(s.kept) > 0 {
		(<-s.kept).Release()
	}
	s.owners.end()
	if err := s.fan.Close(); err != nil {
		s.t.Error(err)
	}
	if l := s.Ledger(); l.Lost != 0 || l.Free+l.Filling != l.Total || l.Total == 0 {
		s.t.Errorf("not everything is home: %v", l)
	}
	if err := s.Close(); err != nil {
		s.t.Error(err)
	}
	if l := s.Ledger(); l != (umem.Ledger{}) {
		s.t.Errorf("ledger after Close: %v", l)
	}
}
