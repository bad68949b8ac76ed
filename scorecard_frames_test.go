package xrx_test

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xrx"
	"xrx/bpf"
	"xrx/internal/afpacket"
	"xrx/internal/frames"
	"xrx/internal/sys"
	"xrx/internal/testnet"
	"xrx/umem"
)

// numbered makes frames as the kernel's selftest does: every 32-bit word of the payload tells the number of the packet
// and its own place in it, so that first and last word, and all between, can be checked.
type numbered struct {
	n       *testnet.Net
	proto   uint8
	size    func(i uint64) int // bytes of frame i from the Ethernet header on
	payload [1514]byte
}

// mixed are sizes from 64 to 1514 bytes, neighbours far apart.
func mixed(i uint64) int { return 64 + int(i*611%1451) }

func same(size int) func(uint64) int { return func(uint64) int { return size } }

func newNumbered(n *testnet.Net) *numbered {
	return &numbered{n: n, proto: frames.ProtoUDP, size: mixed}
}

// append appends frame i to b.
func (f *numbered) append(b []byte, i uint64) []byte {
	h := frames.Frame{SrcMAC: f.n.A.MAC, DstMAC: f.n.B.MAC, Src: f.n.A.IP4, Dst: f.n.B.IP4, Proto: f.proto, SrcPort: 7, DstPort: 9,
		ID: uint16(i), Flags: frames.ACK, Ack: 1, Window: 512}
	h.Payload = f.payload[:f.size(i)-h.Headers()]
	h.Seq = uint32(i) * uint32(len(h.Payload)) // frames of one size follow one another
	for w := 0; w < len(h.Payload); w += 4 {
		var word [4]byte
		binary.BigEndian.PutUint32(word[:], uint32(i)<<10|uint32(w/4))
		copy(h.Payload[w:], word[:])
	}
	return h.Append(b)
}

// rig is one case at work: a network, a receiver, a sender, and a handler that checks every frame.
type rig struct {
	*testing.T
	n       *testnet.Net
	r       *xrx.Receiver
	x       *running
	s       *afpacket.Sender
	frames  *numbered
	want    *numbered // the same frames, for the receiving goroutine
	offset  int       // where packets start in their chunks
	got     atomic.Uint64
	faults  int
	number  func(i uint64) uint64                // number of the i-th frame that is delivered
	cut     int                                  // bytes that frames lose at their end
	meta    func(number uint64, m xrx.Meta) bool // what is in front of a frame
	handler func()                               // called after each frame
}

// newRig opens a receiver; the case may change what is expected before start.
func newRig(t *testing.T, mode bpf.Mode, cfg xrx.Config) *rig {
	return newRigOn(t, testnet.New(t, testnet.Options{}), mode, cfg)
}

func newRigOn(t *testing.T, n *testnet.Net, mode bpf.Mode, cfg xrx.Config) *rig {
	cfg.Attach = mode
	g := &rig{T: t, n: n, r: open(t, n, &cfg), s: sender(t, n), frames: newNumbered(n), want: newNumbered(n), offset: umem.DefaultHeadroom + 256,
		number: func(i uint64) uint64 { return i }, meta: ours, handler: func() {}}
	if cfg.Headroom != 0 {
		g.offset = cfg.Headroom + 256
	}
	return g
}

// ours is the metadata that xrx's own program stamps on a numbered frame.
func ours(_ uint64, m xrx.Meta) bool {
	return m.Kind == 1 && m.Hash != 0 && m.L3 == 4 && m.L3Off == 14 && m.L4Off == 34
}

func (g *rig) start() {
	buf := make([]byte, 0, 2048)
	g.x = run(g, g.r, xrx.Handler(func(p xrx.Packet) {
		i := g.number(g.got.Load())
		buf = g.want.append(buf[:0], i)
		frame := buf[:len(buf)-g.cut]
		switch data := p.Data(); {
		case len(data) != len(frame):
			g.fail("frame %d: %d bytes, want %d", i, len(data), len(frame))
		case string(data) != string(frame):
			g.fail("frame %d: other bytes: % x ... % x, want % x ... % x", i, data[42:50], data[len(data)-4:], frame[42:50], frame[len(frame)-4:])
		case p.Offset() != g.offset:
			g.fail("frame %d: at offset %d of its chunk, want %d", i, p.Offset(), g.offset)
		case !g.meta(i, p.Meta()):
			g.fail("frame %d: metadata %+v", i, p.Meta())
		}
		g.got.Add(1)
		g.handler()
	}))
}

func (g *rig) fail(format string, args ...any) {
	if g.faults++; g.faults < 5 {
		g.Errorf(format, args...)
	}
}

// send sends frames first .. first+count-1 with at most window of them on their way, as arrived says.
func (g *rig) send(first, count, window uint64, arrived func() uint64) {
	g.Helper()
	windowed(g, g.s, count, window, func(b []byte, i uint64) []byte { return g.frames.append(b, first+i) }, arrived)
}

// end stops the receiver when it has delivered want frames, and checks that nothing else came or was dropped by xrx.
func (g *rig) end(want uint64) {
	g.Helper()
	eventually(g, 5*time.Second, "all frames are delivered", func() bool { return g.got.Load() >= want })
	if err := g.x.end(); err != nil {
		g.Fatal(err)
	}
	q := g.r.Snapshot().Queues[0]
	if g.got.Load() != want || q.Packets != want || len(q.Drops) != 0 || q.Kernel.RxInvalidDescs != 0 || q.Ledger.Lost != 0 {
		g.Errorf("%d delivered of %d expected, %d received, drops %v, kernel %+v, %v", g.got.Load(), want, q.Packets, q.Drops, q.Kernel, q.Ledger)
	}
}

// noLoss checks that the kernel dropped nothing.
func (g *rig) noLoss() {
	g.Helper()
	if k := g.r.Snapshot().Queues[0].Kernel; k.Lost() != 0 || k.RxFillRingEmptyDescs != 0 {
		g.Errorf("the kernel dropped frames: %+v", k)
	}
}

// windowed sends count frames made by frame(b, i), never more than window ahead of what arrived says has come. It stays on
// one processor: in generic mode frames sent from two overtake one another.
func windowed(t testing.TB, s *afpacket.Sender, count, window uint64, frame func(b []byte, i uint64) []byte, arrived func() uint64) {
	t.Helper()
	defer onProcessor(t, 0)()
	batch := min(64, window)
	buf := make([]byte, 0, batch*1514)
	list := make([][]byte, 0, batch)
	for sent := uint64(0); sent < count; {
		k := min(count-sent, batch)
		for deadline := time.Now().Add(10 * time.Second); sent+k > arrived()+window; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%d frames sent, %d arrived, and nothing more for 10 s", sent, arrived())
			}
		}
		buf, list = buf[:0], list[:0]
		for range k {
			at := len(buf)
			buf = frame(buf, sent)
			list = append(list, buf[at:])
			sent++
		}
		if _, err := s.Send(list); err != nil {
			t.Fatal(err)
		}
	}
}

// onProcessor binds the calling goroutine to a processor until what it returns is called.
func onProcessor(t testing.TB, cpu int) (back func()) {
	t.Helper()
	runtime.LockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	if err := sys.Pin(cpu); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.SchedSetaffinity(0, &before); err == nil {
			runtime.UnlockOSThread() // else the thread goes with the goroutine
		}
	}
}
