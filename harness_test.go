package xrx_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"xrx"
	"xrx/internal/afpacket"
	"xrx/internal/frames"
	"xrx/internal/testnet"
	"xrx/umem"
)

func TestMain(m *testing.M) {
	if iface := os.Getenv("XRX_TEST_RECEIVE"); iface != "" {
		if last := os.Getenv("XRX_TEST_STAGE"); last != "" {
			lifeUpTo(iface, last, os.Getenv("XRX_TEST_STATE"))
		}
		receiveUntilKilled(iface)
	}
	if in, out, ok := strings.Cut(os.Getenv("XRX_TEST_FORWARD"), ","); ok {
		forwardUntilKilled(in, out)
	}
	if spec := os.Getenv("XRX_TEST_HELPED"); spec != "" {
		receiveHelped(spec)
	}
	goleak.VerifyTestMain(m)
}

// receiveUntilKilled is a receiver in a process of its own, for tests that kill it.
func receiveUntilKilled(iface string) {
	r, err := xrx.Open(iface, nil)
	if err == nil {
		err = r.Run(context.Background(), xrx.Handler(func(p xrx.Packet) { fmt.Println("received", p.Len()) }))
	}
	fmt.Println(err)
	os.Exit(1)
}

// open opens a receiver on b0 that is closed, with its ledger checked, when the test ends.
func open(t testing.TB, n *testnet.Net, cfg *xrx.Config) *xrx.Receiver {
	t.Helper()
	var r *xrx.Receiver
	n.InB(func() {
		var err error
		if r, err = xrx.Open(n.B.Iface, cfg); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() {
		if l := r.Ledger(); l.Lost != 0 {
			t.Errorf("ledger: %v", l)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if l := r.Ledger(); l.Free != l.Total {
			t.Errorf("ledger after Close: %v", l)
		}
	})
	return r
}

// running is a receiver whose Run goes on in the background.
type running struct {
	t    testing.TB
	stop context.CancelFunc
	done chan error
}

func run(t testing.TB, r *xrx.Receiver, c xrx.Consumer) *running {
	ctx, cancel := context.WithCancel(context.Background())
	x := &running{t, cancel, make(chan error, 1)}
	go func() { x.done <- r.Run(ctx, c) }()
	// Run has taken the traffic once every queue is in the XSKMAP.
	eventually(t, 5*time.Second, "the queues are registered", func() bool { return r.Registered() || len(x.done) > 0 })
	t.Cleanup(func() { cancel() })
	return x
}

// end stops Run and returns its error.
func (x *running) end() error {
	x.t.Helper()
	x.stop()
	return x.wait(5 * time.Second)
}

func (x *running) wait(patience time.Duration) error {
	x.t.Helper()
	select {
	case err := <-x.done:
		x.done <- err
		return err
	case <-time.After(patience):
		x.t.Fatalf("Run did not return within %v", patience)
		return nil
	}
}

// eventually polls a condition until it holds.
func eventually(t testing.TB, patience time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// sender opens a packet socket on a0.
func sender(t testing.TB, n *testnet.Net) *afpacket.Sender {
	t.Helper()
	var s *afpacket.Sender
	n.InA(func() {
		l, err := n.A.Link()
		if err != nil {
			t.Fatal(err)
		}
		if s, err = afpacket.NewSender(l.Attrs().Index, afpacket.SenderOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { s.Close() })
	return s
}

// frameMaker makes the frame of a sequence number: the same one each time, so that a receiver can compare every byte
// with what was sent. Sizes run from 60 to 1514 bytes over UDP and TCP, IPv4 and IPv6, no tag, one and two.
type frameMaker struct {
	n       *testnet.Net
	flows   int
	window  uint64
	payload [1514]byte
	f       frames.Frame
}

func newFrameMaker(n *testnet.Net, flows int) *frameMaker {
	m := &frameMaker{n: n, flows: flows, window: maxWindow}
	for i := range m.payload {
		m.payload[i] = byte(i*7 + i>>8)
	}
	return m
}

// frame appends frame seq to b, and says what the metadata in front of it must be (but for the hash).
func (m *frameMaker) frame(b []byte, seq uint64) ([]byte, xrx.Meta) {
	x := seq*0x9e3779b97f4a7c15 + 1
	x ^= x >> 29
	f := &m.f
	*f = frames.Frame{SrcMAC: m.n.A.MAC, DstMAC: m.n.B.MAC, ID: uint16(seq), Seq: uint32(seq), Ack: 1, Flags: frames.ACK, Window: 512, Pad: true}
	want := xrx.Meta{Kind: 1, Flags: umem.HashL4, L3: 4, L3Off: 14}
	f.Src, f.Dst = m.n.A.IP4, m.n.B.IP4
	l3 := uint8(20)
	if x&1 != 0 && m.n.A.IP6.IsValid() {
		f.Src, f.Dst = m.n.A.IP6, m.n.B.IP6
		want.L3, l3 = 6, 40
	}
	f.Proto = frames.ProtoUDP
	if x&2 != 0 {
		f.Proto = frames.ProtoTCP
	}
	for range []int{0, 0, 1, 2}[x>>2&3] {
		tag := frames.VLAN{TCI: uint16(0x2000 | 100 + len(f.VLANs))}
		if len(f.VLANs) == 0 && x>>2&3 == 3 {
			tag.TPID = frames.TypeQinQ
			want.Flags |= umem.VLANAD
		}
		if len(f.VLANs) == 0 {
			want.VLANTCI = tag.TCI
			want.Flags |= umem.VLANInBand
		}
		f.VLANs = append(f.VLANs, tag)
		want.L3Off += 4
	}
	want.L4Off, want.L4Proto = want.L3Off+l3, f.Proto
	f.SrcPort, f.DstPort = uint16(1024+seq%uint64(m.flows)), 9
	size := 60 + int(x>>8%1455)
	payload := m.payload[:max(8, size-f.Headers())]
	binary.LittleEndian.PutUint64(payload, seq)
	f.Payload = payload
	return f.Append(b), want
}

// sequence reads the sequence number out of a frame, given where its layer 4 header is.
func sequence(b []byte, m xrx.Meta) uint64 {
	h := 8
	if m.L4Proto == frames.ProtoTCP {
		h = 20
	}
	return binary.LittleEndian.Uint64(b[int(m.L4Off)+h:])
}

// maxWindow is how many frames may be on their way: less than a ring holds, so that a receiver that is not scheduled for a
// while (a busy test machine) delays the sender and loses nothing.
const maxWindow = 1024

// send sends frames first..first+count-1, never more than m.window ahead of what arrived says has come.
func (m *frameMaker) send(t testing.TB, s *afpacket.Sender, first, count uint64, arrived func() uint64) {
	t.Helper()
	batch := min(64, m.window)
	buf := make([]byte, 0, batch*1514)
	list := make([][]byte, 0, batch)
	for sent := uint64(0); sent < count; {
		k := min(count-sent, batch)
		for deadline := time.Now().Add(5 * time.Second); sent+k > arrived()+m.window; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%d frames sent, %d arrived, and nothing more for 5 s", sent, arrived())
			}
		}
		buf, list = buf[:0], list[:0]
		for range k {
			at := len(buf)
			buf, _ = m.frame(buf, first+sent)
			list = append(list, buf[at:])
			sent++
		}
		if _, err := s.Send(list); err != nil {
			t.Fatal(err)
		}
	}
}

func addrPort(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }
