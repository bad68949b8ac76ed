package xrx_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xrx"
	"xrx/bpf"
	"xrx/internal/gen"
	"xrx/internal/testnet"
)

// flows is traffic of many flows that the sending veth spreads over its queues by flow hash.
func flows(t testing.TB, n *testnet.Net, count int) *gen.Writer {
	t.Helper()
	w, err := gen.NewWriter(gen.Stream{Flows: count, Sizes: gen.Range(64, 400), SrcMAC: n.A.MAC, DstMAC: n.B.MAC, Src: n.A.IP4, Dst: n.B.IP4})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// share is what one queue got. Its goroutine is the only one that touches it while the receiver runs.
type share struct {
	tally  gen.Tally
	last   uint64 // sequence number of the last packet, plus one
	behind int    // packets that came after a later one
	flows  map[uint32]bool
	thread int          // that the last packet came on
	cpus   map[int]bool // processors that the queue's thread may run on, seen on its first packet
}

// shares sorts packets by queue. It is a handler for all queues at once.
type shares struct {
	of      []share
	arrived atomic.Uint64
}

func newShares(queues int) *shares {
	s := &shares{of: make([]share, queues)}
	for i := range s.of {
		s.of[i].flows = map[uint32]bool{}
	}
	return s
}

func (s *shares) take(p xrx.Packet) {
	s.see(p)
	s.arrived.Add(1)
}

func (s *shares) see(p xrx.Packet) {
	q := &s.of[p.Queue()]
	if q.cpus == nil {
		q.cpus = affinity()
	}
	q.thread = unix.Gettid()
	q.tally.Add(p.Data())
	if seq, flow, err := gen.Check(p.Data()); err == nil {
		if seq < q.last {
			q.behind++
		}
		q.last = seq + 1
		q.flows[flow] = true
	}
}

func affinity() map[int]bool {
	var set unix.CPUSet
	cpus := map[int]bool{}
	if unix.SchedGetaffinity(0, &set) == nil {
		for cpu := range 1024 {
			if set.IsSet(cpu) {
				cpus[cpu] = true
			}
		}
	}
	return cpus
}

func TestFourQueuesDeliverEveryPacketOf256FlowsOnceAndKeepEachFlowOnOneQueue(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const total, flowCount = 40_000, 256
	for _, c := range []struct {
		mode    bpf.Mode
		threads int
	}{{bpf.Native, 0}, {bpf.Generic, 0}, {bpf.Native, 1}, {bpf.Native, 2}, {bpf.Generic, 3}} {
		t.Run(fmt.Sprintf("%v, threads %d", c.mode, c.threads), func(t *testing.T) {
			mode := c.mode
			n := testnet.New(t, testnet.Options{Queues: 4})
			r := open(t, n, &xrx.Config{Attach: mode, Threads: c.threads})
			if notes := r.Mode().Notes; slices.ContainsFunc(notes, func(s string) bool { return strings.Contains(s, "not bound") }) || len(notes) > min(1, c.threads) {
				t.Errorf("all queues are bound, yet: %q", notes)
			}
			s := newShares(4)
			x := run(t, r, xrx.Handler(s.take))
			w := flows(t, n, flowCount)
			windowed(t, sender(t, n), total, maxWindow, func(b []byte, _ uint64) []byte { return w.Append(b) }, s.arrived.Load)
			eventually(t, 5*time.Second, "all packets have arrived", func() bool { return s.arrived.Load() >= total })
			if err := x.end(); err != nil {
				t.Fatal(err)
			}
			where, sum, used, threads := map[uint32]int{}, uint64(0), 0, map[int][]int{}
			for i := range s.of {
				q := &s.of[i]
				if q.tally.Frames > 0 {
					used++
					threads[q.thread] = append(threads[q.thread], i)
				}
				sum += q.tally.Frames
				if q.tally.Duplicates+q.tally.Reordered+q.tally.Foreign+q.tally.Damaged != 0 || q.behind != 0 {
					t.Errorf("queue %d: %d packets behind a later one, %v", i, q.behind, q.tally.Err(total))
				}
				for flow := range q.flows {
					if other, ok := where[flow]; ok {
						t.Errorf("flow %d is on queues %d and %d", flow, other, i)
					}
					where[flow] = i
				}
			}
			// A packet that came twice would be on the same queue, by its flow; so the sum says that each came once.
			if sum != total || len(where) != flowCount {
				t.Errorf("%d packets of %d flows, want %d of %d", sum, len(where), total, flowCount)
			}
			// In generic mode a veth's frames of tx queue 0 count as unrecorded and those of queue n as n-1
			// (netif_get_rxqueue in net/core/dev.c at v6.18): the last rx queue stays empty.
			if want := map[bpf.Mode]int{bpf.Native: 4, bpf.Generic: 3}[mode]; used < want {
				t.Errorf("traffic was on %d queues, want %d", used, want)
			}
			if want := c.threads; want > 0 && len(threads) != want || want == 0 && len(threads) != used {
				t.Errorf("queues by thread: %v, %d threads were asked for", threads, want)
			}
			for _, q := range r.Snapshot().Queues {
				if q.Kernel.Lost() != 0 || len(q.Drops) != 0 || q.Ledger.Lost != 0 || q.Packets != s.of[q.Queue].tally.Frames {
					t.Errorf("queue %d: received %d, kernel %+v, drops %v, %v", q.Queue, q.Packets, q.Kernel, q.Drops, q.Ledger)
				}
			}
		})
	}
}

func TestTwoQueuesOfFourWarnAndLeaveTheRestToTheKernel(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const total = 2048
	for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			n := testnet.New(t, testnet.Options{Queues: 4})
			r := open(t, n, &xrx.Config{Attach: mode, Queues: []int{1, 0}})
			if !slices.ContainsFunc(r.Mode().Notes, func(s string) bool { return strings.Contains(s, "2 of 4 rx queues are not bound") }) {
				t.Errorf("notes %q don't say that two queues are not bound", r.Mode().Notes)
			}
			s, kernel := newShares(4), readKernel(t, n)
			x := run(t, r, xrx.Handler(s.take))
			w := flows(t, n, 64)
			windowed(t, sender(t, n), total, 256, func(b []byte, _ uint64) []byte { return w.Append(b) },
				func() uint64 { return s.arrived.Load() + kernel.frames.Load() })
			eventually(t, 5*time.Second, "every packet is with xrx or with the kernel", func() bool { return s.arrived.Load()+kernel.frames.Load() >= total })
			snap := r.Snapshot()
			if err := x.end(); err != nil {
				t.Fatal(err)
			}
			passed := kernel.end()
			if snap.XDP["no_socket"] != passed || snap.XDP["redirected"] != s.arrived.Load() || s.arrived.Load()+passed != total {
				t.Errorf("%d to xrx, %d to the kernel, program counted %v", s.arrived.Load(), passed, snap.XDP)
			}
			if s.of[0].tally.Frames == 0 || s.of[1].tally.Frames == 0 || s.of[2].tally.Frames+s.of[3].tally.Frames != 0 || passed == 0 {
				t.Errorf("queues got %d, %d, %d, %d, the kernel %d", s.of[0].tally.Frames, s.of[1].tally.Frames, s.of[2].tally.Frames, s.of[3].tally.Frames, passed)
			}
		})
	}
}

// kernelReader counts the generated frames that reach the stack of namespace B.
type kernelReader struct {
	frames atomic.Uint64
	stop   chan struct{}
	wait   sync.WaitGroup
	once   sync.Once
}

func readKernel(t testing.TB, n *testnet.Net) *kernelReader {
	t.Helper()
	r, k := n.Reader(n.B), &kernelReader{stop: make(chan struct{})}
	k.wait.Go(func() {
		for {
			p, err := r.Read(20 * time.Millisecond)
			if err == nil {
				if _, _, err := gen.Check(p.Data); err == nil {
					k.frames.Add(1)
				}
				continue
			}
			select {
			case <-k.stop:
				return
			default:
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read on the kernel's side: %v", err)
				return
			}
		}
	})
	t.Cleanup(func() { k.end() })
	return k
}

// end stops reading when nothing more comes, and returns how many frames there were.
func (k *kernelReader) end() uint64 {
	k.once.Do(func() { close(k.stop) })
	k.wait.Wait()
	return k.frames.Load()
}

func TestWrongQueuesAreRefusedInWords(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{Queues: 2})
	for _, c := range []struct {
		name   string
		queues []int
		want   string
	}{
		{"one past the last", []int{0, 2}, "b0 has rx queues 0 to 1, not 2"},
		{"negative", []int{-1}, "b0 has rx queues 0 to 1, not -1"},
		{"twice the same", []int{1, 0, 1}, "queue 1 is named twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			testnet.NoLeaks(t)
			n.InB(func() {
				r, err := xrx.Open(n.B.Iface, &xrx.Config{Queues: c.queues})
				if err == nil {
					r.Close()
					t.Fatal("opened")
				}
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("%q does not say %q", err, c.want)
				}
			})
		})
	}
}

func TestQueuesRunOnTheProcessorsTheyAreGiven(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	last := runtime.NumCPU() - 1
	own := affinity()
	for _, c := range []struct {
		name    string
		cpus    []int
		threads int
		want    [3]map[int]bool
		notes   []string // beginnings
	}{
		{"not pinned", nil, 0, [3]map[int]bool{own, own, own}, nil},
		{"not pinned, two threads", nil, 2, [3]map[int]bool{own, own, own}, []string{"2 threads poll 3 queues: queues 0, 2; queue 1"}},
		{"one for all", []int{last}, 0, [3]map[int]bool{{last: true}, {last: true}, {last: true}},
			[]string{fmt.Sprintf("queue 0 on processor %d", last), fmt.Sprintf("queue 1 on processor %d", last), fmt.Sprintf("queue 2 on processor %d", last)}},
		{"in turn", []int{last, 0}, 0, [3]map[int]bool{{last: true}, {0: true}, {last: true}},
			[]string{fmt.Sprintf("queue 0 on processor %d", last), "queue 1 on processor 0", fmt.Sprintf("queue 2 on processor %d", last)}},
		{"two threads", []int{last, 0}, 2, [3]map[int]bool{{last: true}, {0: true}, {last: true}},
			[]string{fmt.Sprintf("queues 0, 2 on processor %d", last), "queue 1 on processor 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := testnet.New(t, testnet.Options{Queues: 3})
			r := open(t, n, &xrx.Config{CPUs: c.cpus, Threads: c.threads})
			if notes := r.Mode().Notes; !slices.EqualFunc(notes, c.notes, strings.HasPrefix) {
				t.Errorf("notes %q, want %q", notes, c.notes)
			}
			s := newShares(3)
			x := run(t, r, xrx.Handler(s.take))
			w := flows(t, n, 64)
			windowed(t, sender(t, n), 640, 256, func(b []byte, _ uint64) []byte { return w.Append(b) }, s.arrived.Load)
			eventually(t, 5*time.Second, "all packets have arrived", func() bool { return s.arrived.Load() >= 640 })
			if err := x.end(); err != nil {
				t.Fatal(err)
			}
			for i := range s.of {
				if got := s.of[i].cpus; !equalSets(got, c.want[i]) {
					t.Errorf("queue %d may run on %v, want %v", i, got, c.want[i])
				}
			}
		})
	}
	t.Run("one that isn't there", func(t *testing.T) {
		n := testnet.New(t, testnet.Options{})
		r := open(t, n, &xrx.Config{CPUs: []int{1000}})
		x := run(t, r, xrx.Handler(func(xrx.Packet) {}))
		if err := x.wait(5 * time.Second); err == nil || !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "processor 1000") {
			t.Errorf("Run returned %v, want EINVAL with the processor's number", err)
		}
	})
}

func equalSets(a, b map[int]bool) bool {
	for cpu := range a {
		if !b[cpu] {
			return false
		}
	}
	return len(a) == len(b)
}
