// Package consumertest runs a consumer behind a real receiver: a veth pair, a sender at its other end, and at the end of
// the test the ledger, the goroutines and the descriptors.
package consumertest

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"xrx"
	"xrx/internal/frames"
	"xrx/internal/testnet"
)

// Patience is how long a condition may take on a busy machine.
const Patience = 20 * time.Second

// Rig is a receiver on one end of a veth pair, and a sender on the other.
type Rig struct {
	*testnet.Net
	R *xrx.Receiver

	t      testing.TB
	sender *testnet.Sender
	stop   context.CancelFunc
	ended  chan error
}

// New opens a receiver, or skips the test where the machine can't. Before anything is closed the test must have stopped
// what it ran; then the ledger must be whole, and after Close every frame free.
func New(t testing.TB, cfg *xrx.Config, o testnet.Options) *Rig {
	t.Helper()
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	g := &Rig{Net: testnet.New(t, o), t: t}
	g.InB(func() {
		var err error
		if g.R, err = xrx.Open(g.B.Iface, cfg); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() {
		g.Stop()
		if l := g.R.Ledger(); l.Lost != 0 {
			t.Errorf("ledger: %v", l)
		}
		if err := g.R.Close(); err != nil {
			t.Error(err)
		}
		if l := g.R.Ledger(); l.Free != l.Total || l.Lost != 0 {
			t.Errorf("ledger after Close: %v", l)
		}
	})
	g.sender = g.Sender()
	return g
}

// Run starts run, mostly the receiver's Run with a consumer, and returns when the receiver has taken the traffic.
func (g *Rig) Run(run func(context.Context) error) {
	g.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	g.stop, g.ended = cancel, make(chan error, 1)
	go func() { g.ended <- run(ctx) }()
	Eventually(g.t, "the receiver receives", func() bool { return g.R.Registered() || len(g.ended) > 0 })
}

// Consume is Run with the receiver's Run.
func (g *Rig) Consume(c xrx.Consumer) {
	g.t.Helper()
	g.Run(func(ctx context.Context) error { return g.R.Run(ctx, c) })
}

// Stop ends what Run began and fails the test if it ended badly.
func (g *Rig) Stop() {
	g.t.Helper()
	if g.stop == nil {
		return
	}
	g.stop()
	g.stop = nil
	select {
	case err := <-g.ended:
		if err != nil {
			g.t.Error(err)
		}
	case <-time.After(Patience):
		g.t.Error("Run does not return")
	}
}

// From and To are addresses of the sending and the receiving end: IPv4 or IPv6.
func (g *Rig) From(v6 bool, port int) netip.AddrPort { return addr(g.A, v6, port) }
func (g *Rig) To(v6 bool, port int) netip.AddrPort   { return addr(g.B, v6, port) }

func addr(e *testnet.End, v6 bool, port int) netip.AddrPort {
	if v6 {
		return netip.AddrPortFrom(e.IP6, uint16(port))
	}
	return netip.AddrPortFrom(e.IP4, uint16(port))
}

// Frame returns the bytes of a frame between the two ends.
func (g *Rig) Frame(f frames.Frame) []byte {
	f.SrcMAC, f.DstMAC, f.Pad = g.A.MAC, g.B.MAC, true
	return f.Append(nil)
}

// window is how many frames may be on their way: less than a ring holds.
const window = 1024

// Send sends frames, never more than window ahead of what arrived says has come.
func (g *Rig) Send(list [][]byte, arrived func() uint64) {
	g.t.Helper()
	sent := uint64(0)
	for part := range slices.Chunk(list, 64) {
		for deadline := time.Now().Add(Patience); sent+64 > arrived()+window; runtime.Gosched() {
			if time.Now().After(deadline) {
				g.t.Fatalf("%d frames sent, %d arrived, and nothing more for %v", sent, arrived(), Patience)
			}
		}
		g.sender.Send(part...)
		sent += uint64(len(part))
	}
}

// Received is how many packets the receiver took off its rings.
func (g *Rig) Received() (n uint64) {
	for _, q := range g.R.Snapshot().Queues {
		n += q.Packets
	}
	return n
}

// Eventually polls a condition until it holds.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", Patience, what)
		}
	}
}

// Example runs an example that receives on eth1, where a frame comes every few milliseconds, and checks that it printed
// want.
func Example(t *testing.T, example func(), want string, frame func(n *testnet.Net) frames.Frame) {
	t.Helper()
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{IfB: "eth1"})
	s := n.Sender()
	f := frame(n)
	f.SrcMAC, f.DstMAC = n.A.MAC, n.B.MAC
	b := f.Append(nil)
	var done sync.WaitGroup
	end := make(chan struct{})
	done.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-end:
				tick.Stop()
				return
			case <-tick.C:
				s.Sender.Send([][]byte{b}) // a full queue is no matter: the next one comes soon
			}
		}
	})
	var printed string
	n.InB(func() { printed = stdoutOf(t, example) })
	close(end)
	done.Wait()
	if !strings.Contains(printed, want) {
		t.Errorf("it printed %q: want %q in it", printed, want)
	}
}

// stdoutOf runs f and returns what it printed.
func stdoutOf(t testing.TB, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var text bytes.Buffer
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		io.Copy(&text, r)
	}()
	old := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = old }()
	f()
	w.Close()
	<-copied
	return text.String()
}
