package xrx_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/gro"
	"xrx/internal/testnet"
)

// panicky panics on some packets, chosen by their bytes so that GRO or not, and whichever queue, it is the same ones.
type panicky struct {
	oneIn          uint64
	calls, panics  atomic.Uint64
	segments, lost atomic.Uint64
	seed           uint64
}

func (c *panicky) draw() bool {
	x := rand.New(rand.NewPCG(c.seed, c.calls.Add(1)))
	return x.Uint64N(c.oneIn) == 0
}

func (c *panicky) handle(p xrx.Packet) {
	c.segments.Add(uint64(p.Count()))
	if c.draw() {
		c.panics.Add(1)
		c.lost.Add(1)
		panic("one in so many")
	}
}

// batch releases as it goes, and now and then panics in the middle.
func (c *panicky) batch(batch []xrx.Packet) {
	for _, p := range batch {
		c.segments.Add(uint64(p.Count()))
	}
	for i, p := range batch {
		if c.draw() {
			c.panics.Add(1)
			c.lost.Add(uint64(len(batch) - i))
			panic(errors.New("one in so many"))
		}
		p.Release()
	}
}

func TestRandomPanicsCostTheirPacketsAndNothingElse(t *testing.T) {
	testnet.Require(t, "root", "veth")
	seed := testnet.Seed(t)
	total := uint64(20_000)
	if os.Getenv("XRX_LONG") != "" || !testing.Short() {
		total = 100_000
	}
	for _, kind := range []string{"Handler", "BatchHandler"} {
		for _, merge := range []*gro.Config{nil, {}} {
			t.Run(fmt.Sprintf("%s, GRO %v", kind, merge != nil), func(t *testing.T) {
				testnet.NoLeaks(t)
				n := testnet.New(t, testnet.Options{Queues: 2})
				var told atomic.Uint64
				r := open(t, n, &xrx.Config{GRO: merge, OnPanic: func(*xrx.PanicError) { told.Add(1) }})
				c := &panicky{oneIn: 100, seed: seed}
				consumer := xrx.Consumer(xrx.Handler(c.handle))
				if kind == "BatchHandler" {
					consumer = xrx.BatchHandler(c.batch)
				}
				x := run(t, r, consumer)
				m := newFrameMaker(n, 16)
				m.send(t, sender(t, n), 0, total, c.segments.Load)
				eventually(t, 20*time.Second, "every frame was shown to the consumer", func() bool { return c.segments.Load() == total })
				if err := x.end(); err != nil {
					t.Fatal(err)
				}
				panics, lost, out, kernel := uint64(0), uint64(0), uint64(0), uint64(0)
				for _, q := range r.Snapshot().Queues {
					panics += q.Panics["consumer"]
					lost += q.Drops["panic"]
					out += q.OutSegments
					kernel += q.Kernel.Lost()
					if q.Drops["after_panic"] != 0 || q.Ledger.Lost != 0 || q.Ledger.Delivered != 0 {
						t.Errorf("queue %d: drops %v, ledger %v", q.Queue, q.Drops, q.Ledger)
					}
				}
				if panics != c.panics.Load() || lost != c.lost.Load() || panics < total/1000 && merge == nil || out != total || kernel != 0 {
					t.Errorf("%d panics counted of %d, %d packets of %d; %d of %d delivered, %d lost in the kernel",
						panics, c.panics.Load(), lost, c.lost.Load(), out, total, kernel)
				}
				if e := r.Panics()["consumer"]; e == nil || !strings.Contains(e.Stack, "panicky") || told.Load() != 1 {
					t.Errorf("first panic %v, told %d times", e, told.Load())
				}
			})
		}
	}
}

func TestAPanicThatIsFatalEndsRunWithItsStackAndRunCanBeCalledAgain(t *testing.T) {
	testnet.Require(t, "root", "veth")
	for _, kind := range []string{"Handler", "BatchHandler", "Goexit"} {
		t.Run(kind, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{Queues: 2})
			r := open(t, n, &xrx.Config{PanicFatal: kind != "Goexit", OnPanic: func(*xrx.PanicError) {}})
			var got atomic.Uint64
			cause := errors.New("the cause")
			consumer := map[string]xrx.Consumer{
				"Handler": xrx.Handler(func(xrx.Packet) {
					if got.Add(1) == 50 {
						panic(cause)
					}
				}),
				"BatchHandler": xrx.BatchHandler(func(b []xrx.Packet) {
					if got.Add(uint64(len(b))) >= 50 {
						panic(cause)
					}
					xrx.Release(b)
				}),
				"Goexit": xrx.Handler(func(xrx.Packet) {
					if got.Add(1) == 50 {
						runtime.Goexit()
					}
				}),
			}[kind]
			x := run(t, r, consumer)
			s, m := sender(t, n), newFrameMaker(n, 16)
			m.send(t, s, 0, 200, func() uint64 { return 200 })
			err := x.wait(10 * time.Second)
			var e *xrx.PanicError
			if !errors.As(err, &e) || kind != "Goexit" && (!errors.Is(err, cause) || !strings.Contains(err.Error(), "the cause")) || !strings.Contains(err.Error(), "contain_live_test.go") {
				t.Fatalf("Run returned %v", err)
			}
			if l := r.Ledger(); l.Delivered != 0 || l.Lost != 0 || r.Registered() {
				t.Errorf("ledger %v, registered %v", l, r.Registered())
			}
			var in, shown, unseen uint64
			for _, q := range r.Snapshot().Queues {
				in, shown, unseen = in+q.Packets, shown+q.OutPackets, unseen+q.Drops["after_panic"]
			}
			if in != shown+unseen {
				t.Errorf("%d packets received, %d shown, %d after the panic", in, shown, unseen)
			}
			got.Store(1000)
			x = run(t, r, xrx.Handler(func(xrx.Packet) { got.Add(1) }))
			m.send(t, s, 200, 100, func() uint64 { return got.Load() - 1000 })
			eventually(t, 10*time.Second, "packets arrive in the second run", func() bool { return got.Load() >= 1100 })
			if err := x.end(); err != nil {
				t.Error(err)
			}
		})
	}
}
