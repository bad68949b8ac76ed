package steer

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"xrx/internal/testnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// item is what a test hands over: the flow, and which of the flow's items it is.
type item struct {
	flow uint32
	seq  uint32
}

// sink is what workers have seen. Each flow's fields are its worker's only.
type sink struct {
	t     testing.TB
	flows []struct {
		next   uint32 // sequence number expected at least
		count  uint32
		worker int // 1 + the worker that has the flow
	}
	got atomic.Uint64
}

func newSink(t testing.TB, flows int) *sink {
	s := &sink{t: t}
	s.flows = make([]struct {
		next   uint32
		count  uint32
		worker int
	}, flows)
	return s
}

func (s *sink) take(worker int, items []item) {
	for _, x := range items {
		f := &s.flows[x.flow]
		if f.worker != 0 && f.worker != worker+1 {
			s.t.Errorf("flow %d is with workers %d and %d", x.flow, f.worker-1, worker)
		}
		if x.seq < f.next {
			s.t.Errorf("flow %d: item %d after %d", x.flow, x.seq, f.next-1)
		}
		f.worker, f.next = worker+1, x.seq+1
		f.count++
	}
	s.got.Add(uint64(len(items)))
}

// Every interleaving that random stalls on both sides bring about: flows keep their order and their worker, what a full
// backlog refused is what is missing, and nothing else. Under the race detector this also shows who may touch what.
func TestFlowsKeepTheirOrderAndWorkerWhateverStalls(t *testing.T) {
	seed := testnet.Seed(t)
	for round := range 8 {
		random := rand.New(rand.NewPCG(seed, uint64(round)))
		workers, producers, flows := 1+random.IntN(5), 1+random.IntN(3), 1+random.IntN(50)
		each := 20000
		s := newSink(t, producers*flows)
		c := New(Config[item]{Workers: workers, Producers: producers, Backlog: 1 << random.IntN(8), Batch: 1 + random.IntN(64),
			Handle: func(worker, _ int, items []item) {
				s.take(worker, items)
				if rand.IntN(64) == 0 {
					time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
				}
			}})
		c.Start()
		refused := make([]uint64, producers)
		var wait sync.WaitGroup
		for p := range producers {
			random := rand.New(rand.NewPCG(seed, uint64(round<<8|p)))
			wait.Go(func() {
				port := c.Port(p)
				seqs := make([]uint32, flows)
				for sent := 0; sent < each; {
					for range 1 + random.IntN(64) {
						f := random.IntN(flows)
						flow := uint32(p*flows + f)
						if !port.Put(Of(flow*0x9e3779b9, workers), item{flow, seqs[f]}) {
							refused[p]++
						}
						seqs[f]++
						sent++
					}
					port.Flush()
					switch random.IntN(16) {
					case 0:
						time.Sleep(time.Duration(random.IntN(200)) * time.Microsecond)
					case 1:
						runtime.Gosched()
					}
				}
				for _, n := range seqs {
					s.got.Add(-uint64(n)) // what was sent: got ends at minus what was refused
				}
			})
		}
		wait.Wait()
		if left := c.Stop(time.Now().Add(time.Minute)); left != nil {
			t.Errorf("workers that only stall for microseconds did not end: %v", left)
		}
		var total uint64
		for p := range producers {
			total += refused[p]
			for w := range workers {
				if l := c.Port(p).Level(w); l != 0 {
					t.Errorf("%d items left for worker %d", l, w)
				}
			}
		}
		if got := s.got.Load() + total; got != 0 {
			t.Errorf("round %d (%d workers, %d producers): %d items are neither handled nor refused", round, workers, producers, int64(-got))
		}
	}
}

// The shortest game with the longest wait: one item at a time, the next one only when it was handled. A single lost
// wakeup ends it.
func TestNoWakeupIsLost(t *testing.T) {
	const rounds = 30000
	var handled atomic.Uint64
	c := New(Config[int]{Workers: 2, Producers: 1, Backlog: 2, Batch: 1, Handle: func(_, _ int, items []int) { handled.Add(uint64(len(items))) }})
	c.Start()
	port := c.Port(0)
	for i := range rounds {
		if !port.Put(i&1, i) {
			t.Fatal("no room in an empty backlog")
		}
		port.Flush()
		for spin, deadline := 0, time.Now().Add(30*time.Second); handled.Load() != uint64(i+1); spin++ {
			if spin > 1000 && time.Now().After(deadline) {
				t.Fatalf("item %d was handed over and nobody woke", i)
			}
			if spin%64 == 63 || i%3 == 0 { // let the worker go to sleep, now and then
				runtime.Gosched()
			}
		}
		if i%1000 == 0 {
			time.Sleep(time.Millisecond) // surely asleep
		}
	}
	c.Stop(time.Now().Add(time.Minute))
}

func TestAStalledWorkerFillsItsOwnBacklogOnly(t *testing.T) {
	const backlog, more = 16, 1000
	release, in := make(chan struct{}), make(chan struct{})
	var handled [2]atomic.Uint64
	c := New(Config[int]{Workers: 2, Producers: 1, Backlog: backlog, Batch: 4, Handle: func(w, _ int, items []int) {
		if w == 0 && handled[0].Load() == 0 {
			close(in)
			<-release
		}
		handled[w].Add(uint64(len(items)))
	}})
	c.Start()
	port := c.Port(0)
	port.Put(0, -1)
	port.Flush()
	<-in
	put, refused := 1, 0
	for i := range more {
		if port.Put(0, i) {
			put++
		} else {
			refused++
		}
		for !port.Put(1, i) {
			port.Flush()
			runtime.Gosched()
		}
		port.Flush()
	}
	for deadline := time.Now().Add(30 * time.Second); handled[1].Load() != more; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("the other worker has handled %d of %d", handled[1].Load(), more)
		}
	}
	if put != backlog || refused != more-backlog+1 || port.Level(0) != backlog || port.HighWater(0) != backlog || !port.Full(0) || port.Full(1) {
		t.Errorf("%d put, %d refused, %d wait, at most %d: want %d", put, refused, port.Level(0), port.HighWater(0), backlog)
	}
	close(release)
	if left := c.Stop(time.Now().Add(time.Minute)); left != nil || handled[0].Load() != backlog {
		t.Errorf("%d handled, left %v", handled[0].Load(), left)
	}
}

func TestAWorkerThatDoesNotEndInTimeIsGivenNoMore(t *testing.T) {
	release, in := make(chan struct{}), make(chan struct{})
	var handled atomic.Int64
	c := New(Config[int]{Workers: 3, Producers: 2, Backlog: 8, Batch: 2, Handle: func(w, _ int, items []int) {
		if w == 1 {
			close(in) // panics if it is called again
			<-release
		}
		handled.Add(int64(len(items)))
	}})
	for p := range 2 {
		for i := range 5 {
			for w := range 3 {
				c.Port(p).Put(w, 100*p+i)
			}
		}
		c.Port(p).Flush()
	}
	c.Start()
	<-in
	left := c.Stop(time.Now().Add(20 * time.Millisecond))
	want := []int{2, 3, 4, 100, 101, 102, 103, 104} // two are in its hands
	if len(left) != 1 || left[0].Worker != 1 || len(left[0].Items) != len(want) {
		t.Fatalf("left: %v", left)
	}
	for i, x := range left[0].Items {
		if x != want[i] {
			t.Errorf("left %v, want %v", left[0].Items, want)
			break
		}
	}
	close(release)
	<-c.workers[1].done
	if handled.Load() != 22 { // ten each of the others, two of its own
		t.Errorf("%d items were handled, want 22", handled.Load())
	}
}

func TestAHandlerThatEndsItsGoroutineEndsNoWorker(t *testing.T) {
	var handled atomic.Int64
	c := New(Config[int]{Workers: 1, Producers: 1, Backlog: 64, Batch: 1, Handle: func(_, _ int, items []int) {
		handled.Add(1)
		if items[0]%3 == 0 {
			runtime.Goexit()
		}
	}})
	for i := range 50 {
		c.Port(0).Put(0, i)
	}
	c.Port(0).Flush()
	c.Start()
	if left := c.Stop(time.Now().Add(time.Minute)); left != nil || handled.Load() != 50 {
		t.Errorf("%d of 50 handled, left %v", handled.Load(), left)
	}
}

func TestFlowsAreSpreadEvenly(t *testing.T) {
	const n, flows = 7, 70000
	var count [n]int
	for i := range uint64(flows) {
		count[Of(mix(i, i>>3, 17, 42), n)]++
	}
	for w, c := range count {
		if c < flows/n*9/10 || c > flows/n*11/10 {
			t.Errorf("worker %d has %d of %d flows: want about %d", w, c, flows, flows/n)
		}
	}
	if Of(0, n) != 0 || Of(1<<32-1, n) != n-1 {
		t.Errorf("the ends of the range belong to %d and %d", Of(0, n), Of(1<<32-1, n))
	}
}

func TestHandingOverAllocatesNothing(t *testing.T) {
	c := New(Config[item]{Workers: 2, Producers: 1, Backlog: 64, Batch: 16, Handle: func(int, int, []item) {}})
	c.Start()
	port := c.Port(0)
	if n := testing.AllocsPerRun(1000, func() {
		for i := range uint32(32) {
			port.Put(int(i&1), item{i, i})
		}
		port.Flush()
	}); n != 0 {
		t.Errorf("%v allocations for each 32 items", n)
	}
	c.Stop(time.Now().Add(time.Minute))
}

// BenchmarkHandOver is the hand-over alone, items of 24 bytes, 64 a flush, to n workers that do nothing. A producer that
// is refused gives way. ns/op is per item.
func BenchmarkHandOver(b *testing.B) {
	type packet [3]uint64
	for _, workers := range []int{1, 2, 4} {
		b.Run(string(rune('0'+workers)), func(b *testing.B) {
			c := New(Config[packet]{Workers: workers, Producers: 1, Backlog: 256, Batch: 64, Handle: func(int, int, []packet) {}})
			c.Start()
			port := c.Port(0)
			b.ReportAllocs()
			for n := 0; n < b.N; n += 64 {
				for i := range 64 {
					for !port.Put(i%workers, packet{uint64(i)}) {
						port.Flush()
						runtime.Gosched()
					}
				}
				port.Flush()
			}
			c.Stop(time.Now().Add(time.Minute))
		})
	}
}

// The moment that random stalls hardly hit: the worker has looked and found nothing, and is about to sleep.
func TestAWorkerDoesNotSleepOverWhatCameJustBefore(t *testing.T) {
	for name, before := range map[string]func(*Crew[int]){
		"an item": func(c *Crew[int]) { c.Port(0).Put(0, 1); c.Port(0).Flush() },
		"Stop":    func(c *Crew[int]) { c.workers[0].stopping.Store(true); c.workers[0].wake() },
	} {
		t.Run(name, func(t *testing.T) {
			c := New(Config[int]{Workers: 1, Producers: 1, Backlog: 2, Batch: 1, Handle: func(int, int, []int) {}})
			before(c)
			awake := make(chan struct{})
			go func() {
				c.workers[0].sleep()
				close(awake)
			}()
			select {
			case <-awake:
			case <-time.After(10 * time.Second):
				t.Error("it sleeps")
				c.workers[0].bell <- struct{}{}
				<-awake
			}
		})
	}
}
