package xrx_test

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"xrx"
	"xrx/gro"
	"xrx/internal/testnet"
)

// TCP connections through a forwarder, one after the other, each with every byte compared there and back, while the links of
// the forwarder and of the sender go down and come back, and somebody asks for counters and the ledger all the time.
func TestSoakForward(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	d, rng := soakFor(t)/2, rand.New(rand.NewPCG(testnet.Seed(t), 5))
	w := newWire(t, testnet.Options{}, true)
	f := w.forward(t, nearIface, &xrx.ForwardConfig{Config: xrx.Config{GRO: &gro.Config{Profile: gro.Linux618}}})
	x := runForward(t, f)

	quit, all := make(chan struct{}), sync.WaitGroup{}
	stop := sync.OnceFunc(func() { close(quit); all.Wait() })
	t.Cleanup(stop)
	flaps := 0
	flapping := rand.New(rand.NewPCG(rng.Uint64(), 6)) // its goroutine's own
	all.Go(func() { flaps = w.flap(t, quit, flapping) })
	all.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if l := f.Ledger(); l.Lost != 0 || l.Free+l.Filling+l.Received+l.Held+l.Delivered+l.Sending != l.Total {
				t.Errorf("ledger: %v", l)
			}
			f.Snapshot(0)
			f.Snapshot(1)
		}
	})
	connections, total := 0, uint64(0)
	var warm soakMemory
	began := time.Now()
	for time.Since(began) < d || connections < 3 {
		size := uint64(1+rng.IntN(8)) << 20
		if connections%2 == 1 && w.C.IP6.IsValid() {
			echoed(t, w, w.C.IP6, size)
		} else {
			echoed(t, w, w.C.IP4, size)
		}
		total += size
		if connections++; connections == 3 {
			warm = soakMemory{heap: heap()}
		}
	}
	stop()
	if last := heap(); last > warm.heap+soakGrowth {
		t.Errorf("the heap has grown from %d to %d bytes", warm.heap, last)
	}
	x.ended(f)
	for i, way := range f.Directions() {
		q, dropped := f.Snapshot(i).Queues[0], uint64(0)
		for why, n := range q.Drops {
			if !strings.HasPrefix(why, "tx_") {
				t.Errorf("%s to %s: dropped for %s", way.In, way.Out, why)
			}
			if why != "tx_refused" { // those were posted
				dropped += n
			}
		}
		if q.OutSegments != q.Packets || q.Tx.Packets+dropped != q.Packets || len(q.Tx.Faults) != 0 {
			t.Errorf("%s to %s: %d received, %d handed on, %d sent and %v dropped", way.In, way.Out, q.Packets, q.OutSegments, q.Tx.Packets, q.Drops)
		}
		t.Logf("%s to %s: %d packets as %d, dropped %v, kernel %+v", way.In, way.Out, q.Packets, q.OutPackets, q.Drops, q.Kernel)
	}
	if flaps == 0 {
		t.Error("no link went down")
	}
	t.Logf("%v: %d connections, %d MiB there and back, %d flaps", time.Since(began).Round(time.Second), connections, total>>20, flaps)
}

// flap takes down one of three links at a time, and brings it back. The addresses of C stay: its carrier goes with f1.
func (w *wire) flap(t *testing.T, quit <-chan struct{}, rng *rand.Rand) (flaps int) {
	near := func(set func(netlink.Link) error) func() error {
		return func() error {
			return w.B.Do(func() error {
				l, err := netlink.LinkByName(nearIface)
				if err != nil {
					return err
				}
				return set(l)
			})
		}
	}
	links := [][2]func() error{{w.A.Down, w.A.Up}, {w.B.Down, w.B.Up}, {near(netlink.LinkSetDown), near(netlink.LinkSetUp)}}
	for {
		select {
		case <-quit:
			return flaps
		case <-time.After(time.Duration(100+rng.IntN(700)) * time.Millisecond):
		}
		link := links[rng.IntN(len(links))]
		if err := link[0](); err != nil {
			t.Error(err)
			return flaps
		}
		<-time.After(time.Duration(10+rng.IntN(90)) * time.Millisecond) // while it is down
		if err := link[1](); err != nil {
			t.Error(err)
			return flaps
		}
		flaps++
	}
}
