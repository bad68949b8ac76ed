package fillring_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"xrx/fillring"
	"xrx/internal/fakekernel"
	"xrx/internal/ring"
	"xrx/internal/sys"
	"xrx/umem"
)

// bench is a refiller with a fake kernel on the other side.
type bench struct {
	*fillring.Refiller
	t      testing.TB
	kernel *fakekernel.Kernel
	pool   *umem.Pool
	rx     *ring.Consumer[sys.XDPDesc]
}

func newBench(t testing.TB, frames, size int) *bench {
	mem, pools := fakekernel.NewUmem(t, umem.Config{Frames: frames}, 1)
	k := fakekernel.New(mem, size)
	return &bench{fillring.New(ring.NewProducer(k.Fill), pools[0]), t, k, pools[0], ring.NewConsumer(k.Rx)}
}

// arrive makes n packets come in and takes them off the rx ring.
func (b *bench) arrive(n int) (hs []*umem.Header) {
	b.t.Helper()
	for range n {
		b.kernel.Receive(fakekernel.Packet{Data: make([]byte, 60)})
		for d := b.rx.Peek(1); len(d) > 0; d = b.rx.Peek(1) {
			h, f := b.pool.Receive(d[0].Addr, d[0].Len)
			if f != umem.NoFault {
				b.t.Fatal(f)
			}
			hs = append(hs, h)
			b.rx.Advance(1)
		}
		b.rx.Release()
	}
	if len(hs) != n {
		b.t.Fatalf("%d of %d packets arrived: %v", len(hs), n, b.kernel)
	}
	return hs
}

func (b *bench) drop(hs []*umem.Header) {
	for _, h := range hs {
		b.pool.Drop(h)
	}
}

func (b *bench) balance() {
	b.t.Helper()
	if l := b.pool.Audit(); l.Lost != 0 || l != b.pool.Counts() {
		b.t.Fatalf("%v", l)
	}
}

func TestTheFirstRefillFillsTheRingOrSpendsAllFrames(t *testing.T) {
	for _, c := range []struct{ frames, ring, want int }{{64, 32, 32}, {64, 64, 64}, {20, 64, 20}, {1, 64, 1}, {1, 1, 1}, {4096, 2048, 2048}} {
		b := newBench(t, c.frames, c.ring)
		if !b.Refill() || b.Level() != c.want || b.pool.In(umem.Filling) != c.want {
			t.Errorf("%d frames, ring of %d: level %d, want %d", c.frames, c.ring, b.Level(), c.want)
		}
		if b.Stats != (fillring.Stats{Posted: uint64(c.want), Batches: 1}) {
			t.Errorf("%d frames, ring of %d: %+v", c.frames, c.ring, b.Stats)
		}
		if b.Refill() {
			t.Errorf("%d frames, ring of %d: refilled a full ring", c.frames, c.ring)
		}
	}
}

func TestNothingIsPostedBeforeAQuarterIsUnused(t *testing.T) {
	for _, c := range []struct{ frames, ring, quarter int }{{64, 32, 8}, {64, 64, 16}, {20, 64, 5}, {3, 64, 1}, {16, 1, 1}, {16, 2, 1}} {
		t.Run(fmt.Sprintf("%d frames, ring of %d", c.frames, c.ring), func(t *testing.T) {
			b := newBench(t, c.frames, c.ring)
			b.Refill()
			full := b.Level()
			for gone := 1; gone <= c.quarter; gone++ {
				b.drop(b.arrive(1))
				if refilled := b.Refill(); refilled != (gone == c.quarter) {
					t.Fatalf("%d of %d taken: refilled %v", gone, full, refilled)
				}
			}
			if b.Level() != full {
				t.Errorf("level %d, want %d", b.Level(), full)
			}
			b.balance()
		})
	}
}

// The kernel must not wait for packets to be consumed: what they leave on the fill ring is replaced from the free
// frames while all of them are still in the receiver's hands.
func TestRefillingDoesNotWaitForConsumption(t *testing.T) {
	b := newBench(t, 64, 32)
	b.Refill()
	b.arrive(20)
	if !b.Refill() || b.Level() != 32 {
		t.Fatalf("level %d with 20 packets in hand", b.Level())
	}
	b.arrive(12)
	if !b.Refill() || b.Level() != 32 || b.pool.In(umem.Free) != 0 {
		t.Fatalf("level %d, %d free, with 32 packets in hand", b.Level(), b.pool.In(umem.Free))
	}
	if b.Stats.Empty != 0 || b.Stats.Short != 0 {
		t.Errorf("nothing ran dry: %+v", b.Stats)
	}
}

func TestARingThatRanDryWhileFramesWereFreeIsEmptyOnce(t *testing.T) {
	b := newBench(t, 64, 16)
	b.Refill()
	for spell := uint64(1); spell <= 3; spell++ {
		b.drop(b.arrive(16))
		if b.kernel.Receive(fakekernel.Packet{Data: make([]byte, 60)}) != 0 {
			t.Fatal("the kernel had a frame")
		}
		b.Refill()
		b.Refill()
		if b.Stats.Empty != spell || b.Stats.Short != 0 {
			t.Fatalf("spell %d: %+v", spell, b.Stats)
		}
	}
}

func TestConsumersThatHoldFramesMakeOneSpellOfShortUntilTheyRelease(t *testing.T) {
	b := newBench(t, 32, 16)
	b.Refill()
	for spell := uint64(1); spell <= 3; spell++ {
		var held []*umem.Header
		for range 2 {
			held = append(held, b.arrive(16)...)
			for range 5 {
				b.Refill()
			}
		}
		if b.kernel.Receive(fakekernel.Packet{Data: make([]byte, 60)}) != 0 {
			t.Fatal("the kernel had a frame")
		}
		// Empty: in each round the ring was dry once while the second half of the frames was still free.
		if b.Stats.Short != spell || b.Stats.Empty != spell {
			t.Fatalf("spell %d: %+v", spell, b.Stats)
		}
		// A few come back, less than a quarter short of enough: they are posted, and the spell goes on.
		b.drop(held[:2])
		if !b.Refill() || b.Level() != 2 || b.Stats.Short != spell {
			t.Fatalf("spell %d: level %d, %+v", spell, b.Level(), b.Stats)
		}
		// The rest: the ring is full again, the spell over, and its dry ring is not blamed on this goroutine.
		b.drop(held[2:])
		if !b.Refill() || b.Level() != 16 {
			t.Fatalf("spell %d: level %d after everything was released", spell, b.Level())
		}
		b.Refill()
		if b.Stats.Short != spell || b.Stats.Empty != spell {
			t.Fatalf("spell %d: %+v", spell, b.Stats)
		}
		b.balance()
	}
}

func TestADryRingAfterASpellOfShortIsNotCalledEmpty(t *testing.T) {
	b := newBench(t, 16, 16)
	b.Refill()
	held := b.arrive(16)
	b.Refill() // nothing to post: the spell begins
	b.drop(held)
	b.Refill()
	if b.Stats.Short != 1 || b.Stats.Empty != 0 || b.Level() != 16 {
		t.Errorf("level %d, %+v", b.Level(), b.Stats)
	}
}

func TestABatchThatWrapsIsPostedWhole(t *testing.T) {
	b := newBench(t, 64, 16)
	b.Refill()
	for round := range 50 {
		n := 4 + round%12
		b.drop(b.arrive(n))
		b.Refill()
		if b.Level() != 16 {
			t.Fatalf("round %d: level %d", round, b.Level())
		}
		b.balance()
	}
}

// A driver in zero-copy mode takes all descriptors at once; they are its, not missing.
func TestFramesInTheDriversHandsAreNotPostedAgain(t *testing.T) {
	b := newBench(t, 64, 16)
	b.Refill()
	if b.kernel.Take() != 16 || b.Level() != 0 {
		t.Fatal(b.kernel)
	}
	if b.Refill() {
		t.Error("posted frames beyond what should be with the kernel")
	}
	b.drop(b.arrive(4))
	if !b.Refill() || b.Level() != 4 {
		t.Errorf("level %d", b.Level())
	}
}

func TestNeedWakeupIsTheKernelsFlag(t *testing.T) {
	b := newBench(t, 4, 4)
	for _, on := range []bool{false, true, false} {
		b.kernel.SetNeedWakeup(on)
		if b.NeedWakeup() != on {
			t.Errorf("flag %v not seen", on)
		}
	}
}

func TestRefillAllocatesNothing(t *testing.T) {
	b := newBench(t, 64, 32)
	b.Refill()
	hs := make([]*umem.Header, 0, 8)
	packets := make([]fakekernel.Packet, 8)
	if n := testing.AllocsPerRun(100, func() {
		b.kernel.Receive(packets...)
		hs = hs[:0]
		for d := b.rx.Peek(1); len(d) > 0; d = b.rx.Peek(1) {
			h, _ := b.pool.Receive(d[0].Addr, d[0].Len)
			hs = append(hs, h)
			b.rx.Advance(1)
		}
		b.rx.Release()
		b.drop(hs)
		b.Refill()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if b.Stats.Posted < 800 {
		t.Errorf("posted %d: nothing was refilled", b.Stats.Posted)
	}
}

// Kernel, queue and consumers on goroutines of their own: no packet is lost while the kernel waits for frames, every
// frame is home at the end.
func TestKernelQueueAndConsumersRunAtOnce(t *testing.T) {
	const total, consumers = 30_000, 3
	b := newBench(t, 128, 32)
	packets := func(yield func(fakekernel.Packet) bool) {
		p := fakekernel.Packet{Data: make([]byte, 60)}
		for range total {
			if !yield(p) {
				return
			}
		}
	}
	type handle struct {
		h   *umem.Header
		gen uint32
	}
	work := make(chan handle, 16)
	var wg sync.WaitGroup
	for range consumers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for w := range work {
				b.pool.Release(w.h, w.gen)
			}
		}()
	}
	k := b.kernel.Start(packets, true, 16)
	defer k.Stop()
	for got := 0; got < total; {
		b.pool.Reclaim()
		b.Refill()
		d := b.rx.Peek(16)
		if len(d) == 0 {
			runtime.Gosched()
		}
		for i := range d {
			h, f := b.pool.Receive(d[i].Addr, d[i].Len)
			if f != umem.NoFault {
				t.Fatal(f)
			}
			b.pool.Deliver(h)
			work <- handle{h, h.Gen()}
		}
		got += len(d)
		b.rx.Advance(len(d))
		b.rx.Release()
	}
	k.Stop()
	close(work)
	wg.Wait()
	b.pool.Reclaim()
	b.pool.TakeBack()
	if l := b.pool.Audit(); l.Free != l.Total || l.Lost != 0 {
		t.Fatal(l)
	}
	if b.kernel.Counters.Packets != total {
		t.Fatal(b.kernel)
	}
}

func TestWhatIsPreparedIsTheKernelsOnceItIsPublished(t *testing.T) {
	b := newBench(t, 16, 8)
	if b.Publish() {
		t.Error("published before anything was prepared")
	}
	b.Prepare()
	if n := b.kernel.Receive(fakekernel.Packet{Data: make([]byte, 60)}); n != 0 {
		t.Errorf("the kernel took %d frames that were not published", n)
	}
	b.Prepare() // nothing is missing: what was prepared counts
	b.balance()
	if got := b.Stats; got.Posted != 8 || got.Batches != 1 {
		t.Errorf("prepared twice: %+v", got)
	}
	if !b.Publish() || b.Publish() {
		t.Error("want one publication")
	}
	b.drop(b.arrive(1))
	b.balance()
}

func TestAToppedUpRingLacksNothing(t *testing.T) {
	b := newBench(t, 16, 8)
	b.Refill()
	b.drop(b.arrive(1))
	if b.Refill() {
		t.Error("refilled for one frame of eight")
	}
	b.TopUp()
	if n := b.pool.In(umem.Filling); n != 8 || b.Level() != 8 {
		t.Errorf("topped up to %d frames, %d in the ring, want 8", n, b.Level())
	}
	if b.TopUp(); b.Stats.Batches != 2 {
		t.Errorf("topped up a full ring: %+v", b.Stats)
	}
	b.balance()
}

func TestARingIsFilledAsFarAsWasSaid(t *testing.T) {
	b := newBench(t, 16, 16)
	b.Keep(12)
	b.Keep(100) // more than there are: no change
	if b.Refill(); b.pool.In(umem.Filling) != 12 || b.Want() != 12 {
		t.Errorf("%d frames posted, want %d, said 12", b.pool.In(umem.Filling), b.Want())
	}
	hs := b.arrive(2)
	if b.Refill() {
		t.Error("refilled for less than a quarter of 12")
	}
	hs = append(hs, b.arrive(1)...)
	if !b.Refill() || b.pool.In(umem.Filling) != 12 {
		t.Errorf("not refilled for a quarter: %d frames posted", b.pool.In(umem.Filling))
	}
	if b.Stats.Short != 0 || b.Stats.Empty != 0 {
		t.Errorf("frames are left, and the ring was never empty: %+v", b.Stats)
	}
	b.drop(hs)
	b.balance()
}
