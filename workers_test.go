package xrx_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/bpf"
	"xrx/internal/frames"
	"xrx/internal/gen"
	"xrx/internal/testnet"
	"xrx/stats"
)

const workerFlows, workerCount = 1000, 4

// goroutine returns the number of the calling goroutine: the only way to tell workers apart from outside.
func goroutine() (id uint64) {
	var b [64]byte
	fmt.Sscanf(string(bytes.TrimPrefix(b[:runtime.Stack(b[:], false)], []byte("goroutine "))), "%d", &id)
	return id
}

// perFlow checks what arrives by flow. A flow's fields are its worker's alone: the race detector watches that.
type perFlow struct {
	t  testing.TB
	of [workerFlows]struct {
		worker uint64 // goroutine
		next   uint64 // least sequence number that may come
		count  uint64
	}
	got atomic.Uint64
}

func (f *perFlow) take(p xrx.Packet) (flow uint32, worker uint64) {
	seq, flow, err := gen.Check(p.Data())
	if err != nil || flow >= workerFlows {
		f.t.Errorf("flow %d: %v", flow, err)
		return 0, 0
	}
	x, me := &f.of[flow], goroutine()
	if x.worker != 0 && x.worker != me {
		f.t.Errorf("flow %d came on goroutines %d and %d", flow, x.worker, me)
	}
	if seq < x.next {
		f.t.Errorf("flow %d: frame %d after %d", flow, seq, x.next-1)
	}
	x.worker, x.next = me, seq+1
	x.count++
	return flow, me
}

// workerTotal is how many frames the tests of workers send.
func workerTotal() uint64 {
	if os.Getenv("XRX_LONG") != "" {
		return 1_000_000
	}
	return 60_000
}

// roomy leaves each worker a backlog that holds all frames which may be on their way.
func roomy(more xrx.Config) *xrx.Config {
	more.Workers, more.Frames = workerCount, 16384
	return &more
}

func TestFourWorkersKeepThousandFlowsInOrderAndLoseNothing(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	for _, c := range []struct {
		name   string
		queues int
		cfg    xrx.Config
	}{{"one queue", 1, xrx.Config{}}, {"four queues", 4, xrx.Config{}}, {"four queues, skb mode, one thread", 4, xrx.Config{Attach: bpf.Generic, Threads: 1}}} {
		for _, kind := range []string{"Handler", "BatchHandler"} {
			t.Run(c.name+", "+kind, func(t *testing.T) {
				n := testnet.New(t, testnet.Options{Queues: c.queues})
				r := open(t, n, roomy(c.cfg))
				f := &perFlow{t: t}
				var consumer xrx.Consumer = xrx.Handler(func(p xrx.Packet) {
					f.take(p)
					f.got.Add(1)
				})
				if kind == "BatchHandler" {
					consumer = xrx.BatchHandler(func(batch []xrx.Packet) {
						for _, p := range batch {
							f.take(p)
						}
						xrx.Release(batch)
						f.got.Add(uint64(len(batch)))
					})
				}
				x := run(t, r, consumer)
				w, total := flows(t, n, workerFlows), workerTotal()
				windowed(t, sender(t, n), total, maxWindow, func(b []byte, _ uint64) []byte { return w.Append(b) }, f.got.Load)
				if err := x.end(); err != nil { // hands over what is on the way
					t.Fatal(err)
				}
				sum, goroutines := uint64(0), map[uint64]bool{}
				for i := range f.of {
					if f.of[i].count == 0 {
						t.Errorf("nothing of flow %d", i)
					}
					sum += f.of[i].count
					goroutines[f.of[i].worker] = true
				}
				if sum != total || f.got.Load() != total || len(goroutines) != workerCount {
					t.Errorf("%d frames on %d goroutines, want each of %d once on %d", sum, len(goroutines), total, workerCount)
				}
				s := r.Snapshot()
				accounted(t, s)
				for _, w := range s.Workers {
					if w.Packets == 0 || w.Backlog != 0 || w.HighWater == 0 || len(w.Drops) != 0 {
						t.Errorf("worker %+v", w)
					}
				}
			})
		}
	}
}

// accounted checks that what was received is what was delivered or dropped by name, by queue and by worker; between runs.
func accounted(t testing.TB, s stats.Snapshot) {
	t.Helper()
	var received, delivered, handled uint64
	drops, workers := map[string]uint64{}, map[string]uint64{}
	for _, q := range s.Queues {
		received += q.Packets
		delivered += q.OutPackets
		for reason, n := range q.Drops {
			drops[reason] += n
		}
		if q.Kernel.Lost() != 0 || q.Ledger.Lost != 0 || q.FillShort != 0 {
			t.Errorf("queue %d: kernel %+v, short of frames %d times, %v", q.Queue, q.Kernel, q.FillShort, q.Ledger)
		}
	}
	for _, w := range s.Workers {
		handled += w.Packets
		for reason, n := range w.Drops {
			workers[reason] += n
		}
	}
	if received != delivered+sumOf(drops) {
		t.Errorf("%d received, %d delivered, dropped %v", received, delivered, drops)
	}
	if len(s.Workers) > 0 && (handled != delivered || sumOf(workers) != drops[stats.BacklogFull]+drops[stats.Quota]+drops[stats.CloseTimeout]) {
		t.Errorf("%d delivered and %v dropped by the queues, %d and %v by the workers", delivered, drops, handled, workers)
	}
}

func sumOf(m map[string]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}

func TestAStalledWorkerHarmsItsOwnFlowsOnly(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	stall, total := 300*time.Millisecond, uint64(20_000)
	if os.Getenv("XRX_LONG") != "" {
		stall, total = 5*time.Second, 1_000_000
	}
	for reason, c := range map[string]xrx.Config{stats.BacklogFull: {}, stats.Quota: {Quota: 2000, Backlog: 4096}} {
		t.Run(reason, func(t *testing.T) {
			n := testnet.New(t, testnet.Options{})
			r := open(t, n, roomy(c))
			f := &perFlow{t: t}
			var stalling atomic.Uint64 // the goroutine that is to stall
			goOn := make(chan struct{})
			var stalled, healthy atomic.Uint64
			x := run(t, r, xrx.Handler(func(p xrx.Packet) {
				victim := stalling.Load() // before f is touched: the test reads it until it stores the victim
				_, me := f.take(p)
				f.got.Add(1)
				if me == victim {
					<-goOn
					stalled.Add(1)
				} else {
					healthy.Add(1)
				}
			}))
			s, w := sender(t, n), flows(t, n, workerFlows)
			send := func(count uint64, arrived func() uint64) {
				windowed(t, s, count, maxWindow, func(b []byte, _ uint64) []byte { return w.Append(b) }, arrived)
			}
			send(workerFlows, f.got.Load) // one of each flow: then it is known who has which
			eventually(t, 10*time.Second, "each flow has its worker", func() bool { return f.got.Load() == workerFlows })
			victim, theirs := f.of[0].worker, uint64(0)
			for i := range f.of {
				if f.of[i].worker == victim {
					theirs++
				}
			}
			healthy.Store(0)
			stalling.Store(victim)
			rounds := uint64(0)
			for began := time.Now(); time.Since(began) < stall || rounds*workerFlows < total; rounds++ {
				// Frames of the stalled worker go the same way and do not come back: they count as arrived.
				before := healthy.Load()
				send(workerFlows, func() uint64 { return (healthy.Load() - before) * workerFlows / (workerFlows - theirs) })
				eventually(t, 10*time.Second, "the other workers have all of theirs", func() bool { return healthy.Load() == (rounds+1)*(workerFlows-theirs) })
			}
			during := r.Snapshot()
			close(goOn)
			if err := x.end(); err != nil {
				t.Fatal(err)
			}
			after := r.Snapshot()
			accounted(t, after)
			harmed := 0
			for i, w := range after.Workers {
				if n := sumOf(w.Drops); n > 0 {
					harmed++
					if w.Drops[reason] != n || n+stalled.Load() != rounds*theirs {
						t.Errorf("worker %d: dropped %v, and had %d of %d frames; the reason should be %s", i, w.Drops, stalled.Load(), rounds*theirs, reason)
					}
					if d := during.Workers[i]; d.Backlog == 0 || d.HighWater < d.Backlog || d.Held < d.Backlog {
						t.Errorf("while it stalled: %+v", d)
					}
				}
				if w.Backlog != 0 || w.Held != 0 && after.Queues[0].Ledger.Delivered == 0 {
					t.Errorf("in the end: %+v", w)
				}
			}
			if harmed != 1 {
				t.Errorf("%d workers dropped packets, want the one that stalled: %+v", harmed, after.Workers)
			}
			for i := range f.of {
				if f.of[i].worker != victim && f.of[i].count != rounds+1 {
					t.Errorf("flow %d of another worker: %d of %d frames", i, f.of[i].count, rounds+1)
				}
			}
		})
	}
}

func TestBothDirectionsOfAConnectionMeetAtOneWorker(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const connections = 200
	n := testnet.New(t, testnet.Options{Queues: 4})
	r := open(t, n, roomy(xrx.Config{}))
	var worker [2 * connections]atomic.Uint64 // by source port, and source port of the answer
	var got atomic.Uint64
	x := run(t, r, xrx.Handler(func(p xrx.Packet) {
		b := p.Data()
		i := int(b[len(b)-2])<<8 | int(b[len(b)-1])
		worker[i].Store(goroutine())
		got.Add(1)
	}))
	var list [][]byte
	for i := range 2 * connections {
		f := frames.Frame{SrcMAC: n.A.MAC, DstMAC: n.B.MAC, Src: n.A.IP4, Dst: n.B.IP4, Proto: frames.ProtoTCP, SrcPort: uint16(20000 + i/2), DstPort: 443,
			Flags: frames.ACK, Payload: append(make([]byte, 60), byte(i>>8), byte(i))}
		switch i / 2 % 3 {
		case 1:
			f.Src, f.Dst = n.A.IP6, n.B.IP6
		case 2:
			f.Proto = frames.ProtoUDP
		}
		if i%2 == 1 {
			f.Src, f.Dst, f.SrcPort, f.DstPort = f.Dst, f.Src, f.DstPort, f.SrcPort
			f.SrcMAC, f.DstMAC = f.DstMAC, f.SrcMAC
		}
		b := f.Append(nil)
		if i/2%7 == 6 { // no IP: the MACs decide
			b[12], b[13] = 0x88, 0xb5
		}
		list = append(list, b)
	}
	if _, err := sender(t, n).Send(list); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "all frames are handled", func() bool { return got.Load() == 2*connections })
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	used := map[uint64]bool{}
	for i := 0; i < 2*connections; i += 2 {
		there, back := worker[i].Load(), worker[i+1].Load()
		if there != back {
			t.Errorf("connection %d: there on goroutine %d, back on %d", i/2, there, back)
		}
		used[there] = true
	}
	if len(used) != workerCount {
		t.Errorf("%d workers had connections, want %d", len(used), workerCount)
	}
	accounted(t, r.Snapshot())
}

func TestRunGivesUpOnAStalledWorkerAndCountsWhatItWasNotGiven(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{})
	cfg := roomy(xrx.Config{CloseTimeout: 100 * time.Millisecond})
	r := open(t, n, cfg)
	goOn := make(chan struct{})
	var in, got atomic.Uint64
	block := atomic.Bool{}
	block.Store(true)
	handler := xrx.Handler(func(p xrx.Packet) {
		if block.CompareAndSwap(true, false) { // the first one
			in.Add(1)
			<-goOn
		}
		got.Add(1)
	})
	x := run(t, r, handler)
	s, w := sender(t, n), flows(t, n, workerFlows)
	frame := func(b []byte, _ uint64) []byte { return w.Append(b) }
	windowed(t, s, 1000, maxWindow, frame, func() uint64 { return 1000 })
	eventually(t, 10*time.Second, "all are received, and one worker stalls", func() bool { return in.Load() == 1 && r.Snapshot().Queues[0].Packets == 1000 })
	err := x.end()
	var stalled *xrx.StalledError
	if !errors.As(err, &stalled) || len(stalled.Workers) != 1 || stalled.Dropped == 0 {
		t.Fatalf("Run returned %v, want a *StalledError with one worker", err)
	}
	if d := r.Snapshot().Workers[stalled.Workers[0]].Drops; d[stats.CloseTimeout] != uint64(stalled.Dropped) {
		t.Errorf("dropped %v, the error says %d", d, stalled.Dropped)
	}
	// Another run, with workers of its own, does not wait for the old one.
	x = run(t, r, handler)
	had := got.Load()
	windowed(t, s, 1000, maxWindow, frame, func() uint64 { return got.Load() - had })
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	eventually(t, 10*time.Second, "the stalled worker has let go of everything", func() bool {
		l := r.Snapshot()
		var handled uint64
		for _, w := range l.Workers {
			handled += w.Packets
		}
		return handled == got.Load() && handled+sumOf(l.Queues[0].Drops) == 2000
	})
	if got.Load()-had-1000 > 64 {
		t.Errorf("the handler was called %d times after Run had given up on its worker", got.Load()-had-1000)
	}
	accounted(t, r.Snapshot())
}

func TestAPanicOnAWorkerCostsItsPacketAndLeavesTheWorkerAlive(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{})
	r := open(t, n, roomy(xrx.Config{OnPanic: func(*xrx.PanicError) {}}))
	var calls, panics atomic.Uint64
	x := run(t, r, xrx.Handler(func(p xrx.Packet) {
		if calls.Add(1)%7 == 0 {
			panics.Add(1)
			panic("of a test")
		}
	}))
	w := flows(t, n, workerFlows)
	const total = 10_000
	windowed(t, sender(t, n), total, maxWindow, func(b []byte, _ uint64) []byte { return w.Append(b) }, calls.Load)
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	s := r.Snapshot()
	if q := s.Queues[0]; calls.Load() != total || q.OutPackets != total || q.Drops["panic"] != panics.Load() || panics.Load() == 0 {
		t.Errorf("%d calls for %d frames, %d delivered, %d panics, dropped %v", calls.Load(), total, q.OutPackets, panics.Load(), q.Drops)
	}
	for _, w := range s.Workers {
		if w.Packets == 0 || w.Backlog != 0 {
			t.Errorf("%+v", w)
		}
	}
}

func TestAFatalPanicOnAWorkerEndsRun(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	for name, fail := range map[string]func(){"panic": func() { panic("of a test") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			n := testnet.New(t, testnet.Options{})
			r := open(t, n, roomy(xrx.Config{PanicFatal: true, OnPanic: func(*xrx.PanicError) {}}))
			x := run(t, r, xrx.Handler(func(p xrx.Packet) { fail() }))
			w := flows(t, n, workerFlows)
			windowed(t, sender(t, n), 200, maxWindow, func(b []byte, _ uint64) []byte { return w.Append(b) }, func() uint64 { return 200 })
			var p *xrx.PanicError
			if err := x.wait(10 * time.Second); !errors.As(err, &p) {
				t.Errorf("Run returned %v, want a *PanicError", err)
			}
			s := r.Snapshot()
			if slices.ContainsFunc(s.Workers, func(w stats.Worker) bool { return w.Backlog != 0 }) {
				t.Errorf("%+v", s.Workers)
			}
		})
	}
}
