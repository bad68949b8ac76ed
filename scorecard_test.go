package xrx_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"xrx"
	"xrx/bpf"
	"xrx/gro"
	"xrx/internal/frames"
	"xrx/internal/scorecardbpf"
	"xrx/internal/testnet"
)

// scorecard are those cases of the kernel's AF_XDP selftest (tools/testing/selftests/bpf/xskxceiver.c and
// prog_tests/test_xsk.c, v6.18) that can be asked of a receiver, by their names there. Every frame is checked for
// order, length, each word, and its exact place in its chunk.
var scorecard = []struct {
	name string
	asks string
	play func(t *testing.T, mode bpf.Mode)
}{
	{"SEND_RECEIVE", "all frames, chunks of 4096 bytes", func(t *testing.T, m bpf.Mode) { sendReceive(t, m, 4096) }},
	{"SEND_RECEIVE_2K_FRAME", "all frames, chunks of 2048 bytes", func(t *testing.T, m bpf.Mode) { sendReceive(t, m, 2048) }},
	{"SEND_RECEIVE_SINGLE_PKT", "a lone packet is delivered at once, GRO or not", singlePacket},
	{"POLL_RX", "each packet wakes a sleeping receiver", pollRx},
	{"POLL_RXQ_FULL", "with nothing to receive poll returns in time", pollTimesOut},
	{"UMEM_HEADROOM", "headroom +128 moves the data by 128", umemHeadroom},
	{"STAT_RX_DROPPED", "frames too long for a chunk are in rx_dropped", statRxDropped},
	{"STAT_RX_FULL", "frames without room are in rx_ring_full", statRxFull},
	{"STAT_FILL_EMPTY", "frames without a chunk are in fill_ring_empty", statFillEmpty},
	{"XDP_DROP_HALF", "a program drops every second frame", dropHalf},
	{"XDP_METADATA_COPY", "a program's counter arrives with each frame", metadataCopy},
	{"XDP_ADJUST_TAIL_SHRINK", "a program cuts the end off each frame", adjustTailShrink},
	{"TEARDOWN", "ten rounds of open, traffic, close", teardown},
}

// scoreFrames is how many frames a case sends.
const scoreFrames = 4096

func TestScorecard(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	var table strings.Builder
	fmt.Fprintf(&table, "%-24s %-7s %-7s %s\n", "case", "native", "skb", "what is asked")
	passed := 0
	for _, c := range scorecard {
		play := func(name string, mode bpf.Mode) string {
			played := false
			ok := t.Run(c.name+"/"+name, func(t *testing.T) {
				played = true
				c.play(t, mode)
			})
			switch {
			case !played: // left out by -run
				return "-"
			case !ok:
				return "FAIL"
			}
			passed++
			return "pass"
		}
		fmt.Fprintf(&table, "%-24s %-7s %-7s %s\n", c.name, play("native", bpf.Native), play("skb", bpf.Generic), c.asks)
	}
	if testing.Verbose() {
		fmt.Fprintf(os.Stdout, "\n%s%d of %d passed\n\n", table.String(), passed, 2*len(scorecard))
	}
}

func sendReceive(t *testing.T, mode bpf.Mode, chunk int) {
	g := newRig(t, mode, xrx.Config{ChunkSize: chunk})
	g.start()
	g.send(0, scoreFrames, maxWindow, g.got.Load)
	g.end(scoreFrames)
	g.noLoss()
}

// A receiver that held a packet until a batch is full, until GRO has company for it, or until its poll times out,
// would not deliver the first one before the second.
func singlePacket(t *testing.T, mode bpf.Mode) {
	const rounds, limit = 15, 100 * time.Millisecond
	for name, merge := range map[string]*gro.Config{"without GRO": nil, "GRO to the end of the poll": {}, "GRO for 2 ms": {Flush: 2 * time.Millisecond}} {
		g := newRig(t, mode, xrx.Config{GRO: merge, PollTimeout: time.Second})
		for _, f := range []*numbered{g.frames, g.want} {
			f.proto, f.size = frames.ProtoTCP, same(256) // a stream that GRO would merge
		}
		g.start()
		var took []time.Duration
		for i := range uint64(rounds) {
			sent := time.Now()
			g.send(i, 1, 1, func() uint64 { return 0 })
			eventually(t, 5*time.Second, "a lone packet is delivered", func() bool { return g.got.Load() == i+1 })
			took = append(took, time.Since(sent))
		}
		g.end(rounds)
		g.noLoss()
		slices.Sort(took) // one round may hit a moment when this machine does something else
		if median := took[rounds/2]; median > limit {
			t.Errorf("%s: half of the packets took more than %v (poll timeout 1s)", name, median)
		}
	}
}

func pollRx(t *testing.T, mode bpf.Mode) {
	const count = 512
	g := newRig(t, mode, xrx.Config{PollTimeout: time.Second})
	g.start()
	began := time.Now()
	g.send(0, count, 1, g.got.Load)
	g.end(count)
	g.noLoss()
	if q := g.r.Snapshot().Queues[0]; q.Sleeps < count {
		t.Errorf("%d packets one by one, and only %d sleeps", count, q.Sleeps)
	}
	if took := time.Since(began); took > count*time.Second/10 {
		t.Errorf("%d packets took %v: sleeps of up to 1 s each ran their time", count, took)
	}
}

func pollTimesOut(t *testing.T, mode bpf.Mode) {
	const timeout, sleeps = 20 * time.Millisecond, 10
	g := newRig(t, mode, xrx.Config{PollTimeout: timeout})
	g.start()
	at := func() uint64 { return g.r.Snapshot().Queues[0].Sleeps }
	// A question wakes the receiver, which then sleeps one time more. So they are few: one after each interval.
	asked := uint64(1)
	first, began := at(), time.Now()
	eventually(t, 5*time.Second, "poll returns without packets", func() bool {
		asked++
		time.Sleep(sleeps * timeout)
		return at() >= first+asked+sleeps/2
	})
	took := time.Since(began)
	if n := at() - first; float64(n) > float64(asked)+2+2*took.Seconds()/timeout.Seconds() {
		t.Errorf("%d sleeps of %v in %v: poll does not wait", n, timeout, took)
	}
	g.send(0, 64, 64, g.got.Load)
	g.end(64)
	g.noLoss()
}

func umemHeadroom(t *testing.T, mode bpf.Mode) {
	var at [2]int
	for i, headroom := range []int{128, 128 + 128} {
		g := newRig(t, mode, xrx.Config{Headroom: headroom})
		g.meta = func(_ uint64, m xrx.Meta) bool { return ours(0, m) }
		g.start()
		g.send(0, scoreFrames, maxWindow, g.got.Load)
		g.end(scoreFrames)
		g.noLoss()
		at[i] = g.offset // every frame was there
	}
	if at[1]-at[0] != 128 {
		t.Errorf("data at %d and %d", at[0], at[1])
	}
}

func statRxDropped(t *testing.T, mode bpf.Mode) {
	// The chunks have room for 448 bytes. A receiver that finds a larger MTU takes such frames in several chunks; one that
	// found a smaller one, which is then raised, can't. (Below 1280 the kernel has no IPv6 to talk of itself.)
	g := newRigOn(t, testnet.New(t, testnet.Options{MTU: 400}), mode, xrx.Config{Headroom: 1344})
	for _, end := range []*testnet.End{g.n.A, g.n.B} {
		if err := end.SetMTU(1200); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []*numbered{g.frames, g.want} {
		f.size = func(i uint64) int { return 64 + int(i%2)*448 }
	}
	g.number = func(i uint64) uint64 { return 2 * i }
	g.start()
	g.send(0, scoreFrames, maxWindow, func() uint64 { return 2 * g.got.Load() })
	eventually(t, 5*time.Second, "the long frames are dropped", func() bool {
		return g.r.Snapshot().Queues[0].Kernel.RxDropped >= scoreFrames/2
	})
	g.end(scoreFrames / 2)
	if k := g.r.Snapshot().Queues[0].Kernel; k.RxDropped != scoreFrames/2 || k.RxRingFull != 0 || k.RxFillRingEmptyDescs != 0 {
		t.Errorf("kernel %+v, want rx_dropped %d", k, scoreFrames/2)
	}
}

func statRxFull(t *testing.T, mode bpf.Mode) {
	const ring, extra = 64, 300
	g := newRig(t, mode, xrx.Config{Frames: 1024, RingSize: 512, RxSize: ring})
	entered, gate := make(chan struct{}), make(chan struct{})
	g.handler = func() {
		if g.got.Load() == 1 { // the receiver stalls with the first frame in its hands
			close(entered)
			<-gate
		}
	}
	g.start()
	g.send(0, 1, 1, g.got.Load)
	<-entered
	g.send(1, ring+extra, ring+extra, func() uint64 { return 0 })
	eventually(t, 5*time.Second, "the kernel has counted", func() bool {
		k, err := g.r.KernelStats()
		if err != nil {
			t.Fatal(err)
		}
		return k.RxRingFull >= extra
	})
	close(gate)
	g.end(1 + ring)
	if k := g.r.Snapshot().Queues[0].Kernel; k.RxRingFull != extra || k.RxDropped != 0 || k.RxFillRingEmptyDescs != 0 {
		t.Errorf("kernel %+v, want rx_ring_full %d", k, extra)
	}
}

func statFillEmpty(t *testing.T, mode bpf.Mode) {
	const chunks, extra = 64, 300
	g := newRig(t, mode, xrx.Config{Frames: chunks, RingSize: chunks})
	var h holder
	h.keep.Store(true)
	g.x = run(t, g.r, xrx.BatchHandler(h.consume))
	g.send(0, chunks, chunks/2, h.n.Load)
	eventually(t, 5*time.Second, "every chunk is in the consumer's hands", func() bool { return h.n.Load() == chunks })
	g.send(chunks, extra, extra, func() uint64 { return 0 })
	kernel := func() uint64 { return g.r.Snapshot().Queues[0].Kernel.RxFillRingEmptyDescs }
	eventually(t, 5*time.Second, "the kernel has counted", func() bool { return kernel() >= extra })
	h.mu.Lock()
	for i, p := range h.held {
		if frame := g.want.append(nil, uint64(i)); string(p.Data()) != string(frame) || p.Offset() != g.offset {
			t.Errorf("frame %d is not what was sent", i)
		}
	}
	h.mu.Unlock()
	h.letGo()
	g.got.Store(chunks)
	g.end(chunks)
	if k := g.r.Snapshot().Queues[0].Kernel; k.RxFillRingEmptyDescs != extra || k.RxDropped != extra || k.RxRingFull != 0 {
		t.Errorf("kernel %+v, want %d frames that found the fill ring empty", k, extra)
	}
}

// with puts another XDP program in the place of xrx's own and sends its packets to the receiver.
func (g *rig) with(program string, mode bpf.Mode) {
	if err := g.r.Detach(); err != nil {
		g.Fatal(err)
	}
	g.n.InB(func() {
		p, err := scorecardbpf.Attach(program, g.r.IfIndex(), mode == bpf.Generic)
		if err != nil {
			g.Fatal(err)
		}
		g.Cleanup(func() {
			if err := p.Close(); err != nil {
				g.Error(err)
			}
		})
		if err := p.Register(g.r.SocketFD()); err != nil {
			g.Fatal(err)
		}
	})
}

func none(_ uint64, m xrx.Meta) bool { return m == xrx.Meta{} }

func dropHalf(t *testing.T, mode bpf.Mode) {
	g := newRig(t, mode, xrx.Config{})
	g.with(scorecardbpf.DropHalf, mode)
	g.number = func(i uint64) uint64 { return 2 * i }
	g.meta = none
	g.start()
	g.send(0, scoreFrames, maxWindow, func() uint64 { return 2 * g.got.Load() })
	g.end(scoreFrames / 2)
	g.noLoss()
}

func metadataCopy(t *testing.T, mode bpf.Mode) {
	g := newRig(t, mode, xrx.Config{})
	g.with(scorecardbpf.CountMeta, mode)
	g.meta = func(number uint64, m xrx.Meta) bool { return m == xrx.Meta{Kind: 1, Hash: uint32(number + 1)} }
	g.start()
	g.send(0, scoreFrames, maxWindow, g.got.Load)
	g.end(scoreFrames)
	g.noLoss()
}

func adjustTailShrink(t *testing.T, mode bpf.Mode) {
	g := newRig(t, mode, xrx.Config{})
	g.with(scorecardbpf.ShrinkTail, mode)
	for _, f := range []*numbered{g.frames, g.want} {
		f.size = func(i uint64) int { return min(1514, mixed(i)+scorecardbpf.ShrinkBytes) }
	}
	g.cut = scorecardbpf.ShrinkBytes
	g.meta = none
	g.start()
	g.send(0, scoreFrames, maxWindow, g.got.Load)
	g.end(scoreFrames)
	g.noLoss()
}

func teardown(t *testing.T, mode bpf.Mode) {
	n := testnet.New(t, testnet.Options{})
	for round := range 10 {
		g := newRigOn(t, n, mode, xrx.Config{})
		g.start()
		g.send(0, 512, 256, g.got.Load)
		g.end(512)
		g.noLoss()
		if err := g.r.Close(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}
