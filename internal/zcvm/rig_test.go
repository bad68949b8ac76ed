package zcvm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"xrx"
	"xrx/internal/afpacket"
	"xrx/internal/gen"
	"xrx/internal/testnet"
	"xrx/xsk"
)

// peerVariable names the interface that is wired to the one in XRX_ZC_IFACE.
const peerVariable = "XRX_ZC_PEER"

// window is the most frames on their way at once: half of what the smallest device ring (256 descriptors) holds.
const window = 128

// patience is how long to wait for what is to happen: on a busy machine an emulated one stands still for seconds.
const patience = time.Minute

// onWay is the number of frames that are remembered: on an emulated wire one may be overtaken by many.
const onWay = 16 * window

// wire is two interfaces of this machine that are wired to each other: what peer sends, iface receives.
type wire struct {
	iface, peer *net.Interface
}

// zeroCopyWire returns the wire whose receiving end is known to do zero-copy, or skips the test.
func zeroCopyWire(t *testing.T) wire {
	t.Helper()
	testnet.Require(t, "root", "afxdp", "zc")
	return named(t, os.Getenv("XRX_ZC_IFACE"))
}

func named(t *testing.T, name string) (w wire) {
	t.Helper()
	var err error
	if w.iface, err = net.InterfaceByName(name); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if w.peer, err = net.InterfaceByName(os.Getenv(peerVariable)); err != nil {
		t.Fatalf("%s=%q is to name the interface wired to %s: %v", peerVariable, os.Getenv(peerVariable), name, err)
	}
	return w
}

// stream returns a stream from peer to iface; its flows are UDP over IPv4 unless the test says otherwise.
func (w wire) stream() gen.Stream {
	return gen.Stream{
		SrcMAC: w.peer.HardwareAddr, DstMAC: w.iface.HardwareAddr,
		Src: netip.MustParseAddr("10.11.0.1"), Dst: netip.MustParseAddr("10.11.0.2"),
	}
}

// open opens a receiver with a zero-copy bind, which is checked; when the test ends it is closed, and its ledger checked.
func (w wire) open(t *testing.T, cfg xrx.Config) *xrx.Receiver {
	t.Helper()
	cfg.Bind = xsk.ZeroCopy
	r, err := xrx.Open(w.iface.Name, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			w.explain(t, r)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if l := r.Ledger(); l.Free != l.Total || l.Lost != 0 {
			t.Errorf("ledger after Close: %v", l)
		}
	})
	if m := r.Mode(); m.Bind != "zerocopy" || m.Attach != "native" || m.Reason != "" {
		t.Fatalf("mode %v, reason %q: want native+zerocopy without a reason", m, m.Reason)
	}
	return r
}

// explain logs what was counted on the way of the frames.
func (w wire) explain(t *testing.T, r *xrx.Receiver) {
	s := r.Snapshot()
	t.Logf("XDP %v", s.XDP)
	for _, q := range s.Queues {
		t.Logf("queue %d: %+v", q.Queue, q)
	}
	for _, i := range []*net.Interface{w.peer, w.iface} {
		if link, err := netlink.LinkByIndex(i.Index); err == nil {
			t.Logf("%s: %+v", i.Name, *link.Attrs().Statistics)
		}
	}
}

// running is a receiver whose Run goes on in the background.
type running struct {
	t    *testing.T
	stop context.CancelFunc
	done chan struct{}
	err  error // what Run returned, once done is closed
}

func run(t *testing.T, r *xrx.Receiver, c xrx.Consumer) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	x := &running{t: t, stop: cancel, done: make(chan struct{})}
	go func() {
		x.err = r.Run(ctx, c)
		close(x.done)
	}()
	t.Cleanup(x.end)
	eventually(t, "the queues are registered", func() bool { return r.Registered() || x.ended(0) })
	return x
}

// end stops Run, which is to return nil. It may be called again.
func (x *running) end() {
	x.t.Helper()
	x.stop()
	if !x.ended(patience) {
		x.t.Fatalf("Run did not return within %v", patience)
	}
	if x.err != nil {
		x.t.Error(x.err)
		x.err = nil
	}
}

func (x *running) ended(within time.Duration) bool {
	select {
	case <-x.done:
		return true
	case <-time.After(within):
		return false
	}
}

// eventually polls a condition until it holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// exchange sends the frames of a stream and compares those that come back with what was sent, byte by byte.
type exchange struct {
	t       *testing.T
	writer  *gen.Writer
	socket  *afpacket.Sender
	payload int    // where a frame's sequence number is
	sent    uint64 // written by send, under mu
	came    atomic.Uint64

	// anyOrder is for tests that let the device run dry: QEMU (net/queue.c) keeps what the card has no room for, and
	// once there is room may let a newer frame pass first.
	anyOrder bool

	mu     sync.Mutex // the frames on their way: written by send, read by receive
	onWay  [onWay][]byte
	tally  gen.Tally
	seen   map[uint64]bool
	differ uint64
	first  error // what the first frame differed in
}

func newExchange(t *testing.T, w wire, s gen.Stream) *exchange {
	t.Helper()
	writer, err := gen.NewWriter(s)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := afpacket.NewSender(w.peer.Index, afpacket.SenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	payload := 14 + 20 + 8
	if s.TCP {
		payload = 14 + 20 + 32 // with timestamps: sizes that have no room for them are not for here
	}
	if s.Src.Is6() {
		payload += 20
	}
	return &exchange{t: t, writer: writer, socket: socket, payload: payload, seen: map[uint64]bool{}}
}

// send sends count frames more, never with more than window of them on their way, and returns when all have come.
func (x *exchange) send(count uint64) {
	x.t.Helper()
	batch := make([][]byte, 0, 64)
	for end := x.sent + count; x.sent < end; {
		room := window - (x.sent - x.came.Load())
		if room < window/4 && end-x.sent > room {
			x.await(x.sent - window/2)
			continue
		}
		batch = batch[:0]
		x.mu.Lock()
		for range min(room, end-x.sent, 64) {
			slot := &x.onWay[x.sent%onWay]
			*slot = x.writer.Append((*slot)[:0])
			batch = append(batch, *slot)
			x.sent++
		}
		x.mu.Unlock()
		if _, err := x.socket.Send(batch); err != nil {
			x.t.Fatal(err)
		}
	}
	x.await(x.sent)
}

func (x *exchange) await(count uint64) {
	x.t.Helper()
	for end := time.Now().Add(patience); x.came.Load() < count; time.Sleep(200 * time.Microsecond) {
		if time.Now().After(end) {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.t.Fatalf("%d frames sent, %d have come by the end of %v; missing %v", x.sent, x.came.Load(), patience, x.missing())
		}
	}
}

// receive takes one frame as it came off the wire. It may be called from several queues' goroutines.
func (x *exchange) receive(frame []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tally.Add(frame)
	if len(frame) >= x.payload+8 {
		seq := binary.BigEndian.Uint64(frame[x.payload:])
		if seq >= x.sent || !bytes.Equal(frame, x.onWay[seq%onWay]) {
			x.fail(fmt.Errorf("frame %d is not what was sent", seq))
		}
		x.seen[seq] = true
	}
	x.came.Store(x.tally.Frames)
}

// missing returns the sequence numbers of the first few frames that have not come; x.mu is held.
func (x *exchange) missing() (list []uint64) {
	for seq := range x.sent {
		if !x.seen[seq] && len(list) < 10 {
			list = append(list, seq)
		}
	}
	return list
}

// fail counts something wrong with a frame; x.mu is held.
func (x *exchange) fail(err error) {
	x.differ++
	if x.first == nil {
		x.first = err
	}
}

// done fails the test unless every frame sent came once, unchanged and in order within its flow.
func (x *exchange) done() {
	x.t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.anyOrder {
		x.tally.Reordered = 0
	}
	if err := x.tally.Err(x.sent); err != nil {
		x.t.Error(err)
	}
	if x.differ > 0 {
		x.t.Errorf("%d of %d frames are wrong, the first: %v", x.differ, x.sent, x.first)
	}
}
