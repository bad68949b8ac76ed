package xrx_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/internal/testnet"
	"xrx/umem"
)

// holder is a consumer that keeps packets until it is told to let go.
type holder struct {
	mu   sync.Mutex
	held []xrx.Packet
	n    atomic.Uint64
	keep atomic.Bool
}

func (h *holder) consume(batch []xrx.Packet) {
	h.n.Add(uint64(len(batch)))
	if !h.keep.Load() {
		xrx.Release(batch)
		return
	}
	h.mu.Lock()
	h.held = append(h.held, batch...)
	h.mu.Unlock()
}

func (h *holder) letGo() {
	h.keep.Store(false)
	h.mu.Lock()
	xrx.Release(h.held)
	h.held = nil
	h.mu.Unlock()
}

func TestAConsumerThatHoldsEverythingStarvesTheFillRingWhichIsCountedAndRecovers(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	r := open(t, n, &xrx.Config{Frames: 256})
	var h holder
	h.keep.Store(true)
	x := run(t, r, xrx.BatchHandler(h.consume))
	s, m := sender(t, n), newFrameMaker(n, 4)
	m.window = 32
	m.send(t, s, 0, 256, h.n.Load)
	eventually(t, 5*time.Second, "all frames are held", func() bool { return h.n.Load() == 256 })
	m.send(t, s, 256, 144, func() uint64 { return 144 })
	eventually(t, 5*time.Second, "all frames are held and the kernel drops", func() bool {
		q := r.Snapshot().Queues[0]
		return q.Ledger.Delivered == 256 && q.Kernel.RxFillRingEmptyDescs == 400-256
	})
	q := r.Snapshot().Queues[0]
	if q.FillShort != 1 || q.Kernel.RxDropped != 400-256 || q.Packets != 256 {
		t.Errorf("short %d times, kernel dropped %d, received %d: want 1, 144, 256", q.FillShort, q.Kernel.RxDropped, q.Packets)
	}
	h.letGo() // from this goroutine: the return queue brings the frames home
	eventually(t, 5*time.Second, "frames are back with the kernel", func() bool { return r.Snapshot().Queues[0].Ledger.Delivered == 0 })
	before := h.n.Load()
	m.send(t, s, 400, 10_000, func() uint64 { return h.n.Load() - before })
	eventually(t, 5*time.Second, "frames arrive again", func() bool { return h.n.Load() == before+10_000 })
	if err := x.end(); err != nil {
		t.Error(err)
	}
}

func TestAnRxRingThatIsFullLosesPacketsByNameAndRecovers(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	r := open(t, n, &xrx.Config{Frames: 1024, RingSize: 512, RxSize: 64, Budget: 16})
	gate, entered := make(chan struct{}), make(chan struct{}, 1)
	var delivered atomic.Uint64
	x := run(t, r, xrx.Handler(func(xrx.Packet) {
		if delivered.Add(1) == 1 {
			entered <- struct{}{}
			<-gate // the consumer stalls
		}
	}))
	s, m := sender(t, n), newFrameMaker(n, 4)
	all := func() uint64 { return 1 << 40 }
	m.send(t, s, 0, 1, all)
	<-entered
	m.send(t, s, 1, 200, all)
	close(gate)
	eventually(t, 5*time.Second, "the rest is delivered", func() bool {
		q := r.Snapshot().Queues[0]
		return q.OutPackets+q.Kernel.RxRingFull == 201
	})
	k := r.Snapshot().Queues[0].Kernel
	if k.RxRingFull != 200-64 || k.RxDropped != 0 {
		t.Errorf("kernel %+v: want 136 packets lost to a full rx ring of 64, none otherwise", k)
	}
	before := delivered.Load()
	m.window = 32
	m.send(t, s, 201, 500, func() uint64 { return delivered.Load() - before })
	eventually(t, 5*time.Second, "packets arrive again", func() bool { return delivered.Load() == before+500 })
	if err := x.end(); err != nil {
		t.Error(err)
	}
}

func TestCloseWaitsForHeldPacketsThenNamesThemAndKeepsTheirMemory(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	r := open(t, n, &xrx.Config{Frames: 64, CloseTimeout: 20 * time.Millisecond})
	var h holder
	h.keep.Store(true)
	x := run(t, r, xrx.BatchHandler(h.consume))
	newFrameMaker(n, 1).send(t, sender(t, n), 0, 3, func() uint64 { return 3 })
	eventually(t, 5*time.Second, "three packets are held", func() bool { return h.n.Load() == 3 })
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	var held *xrx.HeldError
	if err := r.Close(); !asError(err, &held) || held.Packets != 3 {
		t.Fatalf("Close: %v: want an error that names three held frames", err)
	}
	if got := len(h.held[0].Data()); got < 60 { // still mapped, still the packet
		t.Errorf("held packet has %d bytes", got)
	}
	if l := r.Ledger(); l.Delivered != 3 || l.Lost != 0 || l.Free != 61 {
		t.Errorf("ledger %v", l)
	}
	h.letGo()
	if err := r.Close(); err != nil {
		t.Errorf("Close after release: %v", err)
	}
}

func TestMisuseOfAPacketPanicsAndSaysWhich(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	r := open(t, n, &xrx.Config{Frames: 64})
	got := make(chan xrx.Packet, 2)
	x := run(t, r, xrx.Handler(func(p xrx.Packet) {
		p.Retain()
		got <- p
	}))
	newFrameMaker(n, 1).send(t, sender(t, n), 0, 1, func() uint64 { return 1 })
	p := <-got
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	if p.Len() < 60 {
		t.Errorf("retained packet has %d bytes", p.Len())
	}
	p.Release()
	for _, c := range []struct {
		name string
		do   func()
		want umem.Misuse
	}{
		{"a second release", p.Release, umem.DoubleRelease},
		{"reading after release", func() { p.Data() }, umem.UseAfterRelease},
		{"retaining after release", p.Retain, umem.UseAfterRelease},
		{"metadata after release", func() { p.Meta() }, umem.UseAfterRelease},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if e, ok := recover().(*umem.MisuseError); !ok || e.Kind != c.want {
					t.Errorf("panicked with %v, want %v", e, c.want)
				}
			}()
			c.do()
		})
	}
}
