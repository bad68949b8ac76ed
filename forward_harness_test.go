package xrx_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"xrx"
	"xrx/internal/afpacket"
	"xrx/internal/frames"
	"xrx/internal/testnet"
	"xrx/internal/vethnet"
)

// wire is three namespaces in a row: A with a0, B with b0 and f1 in the middle, C with c0. C has the addresses that A
// takes for its peer's, so A and C talk to each other if what is in the middle is a wire.
//
//	A: a0 <--> b0 :B: f1 <--> c0 :C
type wire struct {
	*testnet.Net
	C *vethnet.End
}

const farIface, nearIface = "c0", "f1"

// newWire builds it. offloads leaves both ends their transmit offloads, as interfaces have them: checksums of local
// senders come partial.
func newWire(t testing.TB, o testnet.Options, offloads bool) *wire {
	t.Helper()
	n := testnet.New(t, o)
	ns, err := vethnet.NewNamespace("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	w := &wire{n, &vethnet.End{Namespace: ns, Iface: farIface, MAC: n.B.MAC, IP4: n.B.IP4, IP6: n.B.IP6}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	n.InB(func() {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = nearIface, n.MTU
		attrs.NumTxQueues, attrs.NumRxQueues = n.Queues, n.Queues
		veth := netlink.NewVeth(attrs)
		veth.PeerName, veth.PeerNamespace, veth.PeerHardwareAddr = farIface, netlink.NsFd(ns.FD()), w.C.MAC
		veth.PeerMTU, veth.PeerNumTxQueues, veth.PeerNumRxQueues = uint32(n.MTU), uint32(n.Queues), uint32(n.Queues)
		must(netlink.LinkAdd(veth))
		must(os.WriteFile("/proc/sys/net/ipv6/conf/"+nearIface+"/disable_ipv6", []byte("1"), 0)) // no frames of its own
		must(up(nearIface))
	})
	must(w.C.Do(func() error {
		for _, s := range []string{"addr_gen_mode", "accept_dad", "accept_ra", "router_solicitations"} {
			v := "0"
			if s == "addr_gen_mode" {
				v = "1"
			}
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+farIface+"/"+s, []byte(v), 0); err != nil && w.C.IP6.IsValid() {
				return err
			}
		}
		if err := up(farIface); err != nil {
			return err
		}
		l, err := netlink.LinkByName(farIface)
		if err != nil {
			return err
		}
		w.C.Index = l.Attrs().Index
		for _, a := range []struct{ own, peer string }{{w.C.IP4.String() + "/24", n.A.IP4.String()}, {w.C.IP6.String() + "/64", n.A.IP6.String()}} {
			addr, err := netlink.ParseAddr(a.own)
			if err != nil {
				continue // no IPv6 here
			}
			addr.Flags = 2 // IFA_F_NODAD
			if err := netlink.AddrReplace(l, addr); err != nil {
				return err
			}
			if err := netlink.NeighSet(&netlink.Neigh{LinkIndex: w.C.Index, State: netlink.NUD_PERMANENT, IP: net.ParseIP(a.peer), HardwareAddr: n.A.MAC}); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, e := range []*vethnet.End{n.A, w.C} {
		for _, o := range []vethnet.Offload{vethnet.TxChecksum, vethnet.TSO, vethnet.GSO} {
			must(e.SetOffload(o, offloads))
		}
	}
	for iface, e := range map[string]*vethnet.End{nearIface: n.B, farIface: w.C} {
		eventually(t, vethPatience, iface+" has a carrier", func() bool {
			up := false
			must(e.Do(func() error {
				l, err := netlink.LinkByName(iface)
				up = err == nil && l.Attrs().OperState == netlink.OperUp
				return err
			}))
			return up
		})
	}
	return w
}

// change does something to f1.
func (w *wire) change(t testing.TB, do func(netlink.Link) error) {
	t.Helper()
	w.InB(func() {
		l, err := netlink.LinkByName(nearIface)
		if err == nil {
			err = do(l)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

// forward opens a forwarder between b0 and f1, or another interface than f1, that is closed, with its ledger checked,
// when the test ends.
func (w *wire) forward(t testing.TB, out string, cfg *xrx.ForwardConfig) *xrx.Forwarder {
	t.Helper()
	var f *xrx.Forwarder
	w.InB(func() {
		var err error
		if f, err = xrx.OpenForward(w.B.Iface, out, cfg); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if l := f.Ledger(); l.Lost != 0 || l.Free != l.Total {
			t.Errorf("ledger after Close: %v", l)
		}
	})
	return f
}

// runForward runs a forwarder until end.
func runForward(t testing.TB, f *xrx.Forwarder) *running {
	ctx, cancel := context.WithCancel(context.Background())
	x := &running{t, cancel, make(chan error, 1)}
	go func() { x.done <- f.Run(ctx) }()
	eventually(t, vethPatience, "the queues are registered", func() bool { return f.Registered() || len(x.done) > 0 })
	t.Cleanup(func() { cancel() })
	return x
}

// ended stops a forwarder and checks that everything is accounted for: nothing is on its way any more, nothing is lost.
func (x *running) ended(f *xrx.Forwarder) {
	x.t.Helper()
	if err := x.end(); err != nil {
		x.t.Fatal(err)
	}
	if l := f.Ledger(); l.Lost != 0 || l.Free+l.Filling != l.Total {
		x.t.Errorf("ledger at rest: %v", l)
	}
}

// traffic makes frames by their number, the same each time: streams of TCP and UDP that GRO merges, and between them
// frames of every kind that it does not.
type traffic struct {
	odd *frameMaker
	f   frames.Frame
	pay [1448]byte
}

const trafficFlows, trafficPort = 8, 4433

func newTraffic(n *testnet.Net) *traffic {
	m := &traffic{odd: newFrameMaker(n, 16)}
	for i := range m.pay {
		m.pay[i] = byte(i*5 + i>>7)
	}
	return m
}

// frame appends frame i to b.
func (m *traffic) frame(b []byte, i uint64) []byte {
	flow, at := i%trafficFlows, i/trafficFlows
	n := m.odd.n
	if flow >= 6 {
		b, _ = m.odd.frame(b, i)
		return b
	}
	size := []int{1448, 1001, 1448, 64, 1428, 500}[flow]
	binary.LittleEndian.PutUint64(m.pay[:], i)
	m.f = frames.Frame{SrcMAC: n.A.MAC, DstMAC: n.B.MAC, Src: n.A.IP4, Dst: n.B.IP4, Proto: frames.ProtoTCP, SrcPort: uint16(5000 + flow), DstPort: 80,
		ID: uint16(at), Fragment: 0x4000, Seq: uint32(at) * uint32(size), Ack: 1, Flags: frames.ACK, Window: 512, Payload: m.pay[:size]}
	switch {
	case flow == 2:
		m.f.VLANs = []frames.VLAN{{TCI: 0x2064}}
	case flow == 4 && n.A.IP6.IsValid():
		m.f.Src, m.f.Dst = n.A.IP6, n.B.IP6
	case flow == 5:
		m.f.Proto, m.f.DstPort = frames.ProtoUDP, trafficPort
	}
	if at%37 == 36 {
		m.f.Flags |= frames.PSH
	}
	return m.f.Append(b)
}

// capture reads what arrives at an interface, puts VLAN tags back that the kernel took off on the way to the socket, and
// finds for each frame the number of the one that was sent.
type capture struct {
	r    *afpacket.Reader
	make *traffic
	swap bool // with their MACs exchanged

	sent  map[uint64]uint64 // number by the frame's hash
	last  [trafficFlows]int64
	seen  []bool
	got   atomic.Uint64
	buf   []byte
	fault error
	done  chan struct{}
	stop  atomic.Bool
}

func newCapture(t testing.TB, e *vethnet.End, m *traffic, count uint64, swap bool) *capture {
	t.Helper()
	c := &capture{make: m, swap: swap, sent: make(map[uint64]uint64, count), seen: make([]bool, count), done: make(chan struct{})}
	for i := range c.last {
		c.last[i] = -1
	}
	for i := range count {
		c.buf = c.frame(i)
		c.sent[hash(c.buf)] = i
	}
	if uint64(len(c.sent)) != count {
		t.Fatalf("%d of %d frames are different", len(c.sent), count)
	}
	err := e.Do(func() error {
		l, err := netlink.LinkByName(e.Iface)
		if err != nil {
			return err
		}
		c.r, err = afpacket.NewReader(l.Attrs().Index, 64<<20)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	go c.run()
	t.Cleanup(func() { c.close() })
	return c
}

func (c *capture) close() {
	c.stop.Store(true)
	<-c.done
	c.r.Close()
}

// frame is number i as it must arrive.
func (c *capture) frame(i uint64) []byte {
	b := c.make.frame(c.buf[:0], i)
	if c.swap {
		dst, src := [6]byte(b), [6]byte(b[6:])
		copy(b, src[:])
		copy(b[6:], dst[:])
	}
	return b
}

func hash(b []byte) uint64 { // FNV-1a
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

func (c *capture) run() {
	defer close(c.done)
	tagged := make([]byte, 0, 2048)
	for !c.stop.Load() {
		p, err := c.r.Read(20 * time.Millisecond)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			c.fail(err)
			return
		}
		b := p.Data
		if p.HasVLAN {
			tagged = append(append(append(tagged[:0], b[:12]...), byte(p.TPID>>8), byte(p.TPID), byte(p.VLAN>>8), byte(p.VLAN)), b[12:]...)
			b = tagged
		}
		if p.Flags&afpacket.VnetNeedsChecksum != 0 || p.GSOSize != 0 {
			c.fail(fmt.Errorf("not as on a wire: %+v", p.VnetHeader))
		}
		c.check(b)
		c.got.Add(1)
	}
}

func (c *capture) check(b []byte) {
	i, ok := c.sent[hash(b)]
	if !ok {
		c.fail(fmt.Errorf("a frame of %d bytes that was not sent: % x", len(b), b[:min(len(b), 80)]))
		return
	}
	c.buf = c.frame(i)
	flow := i % trafficFlows
	switch {
	case !bytes.Equal(c.buf, b):
		c.fail(fmt.Errorf("frame %d is not as it was sent", i))
	case c.seen[i]:
		c.fail(fmt.Errorf("frame %d came twice", i))
	case flow < 6 && int64(i) < c.last[flow]:
		c.fail(fmt.Errorf("frame %d came after frame %d of its flow", i, c.last[flow]))
	}
	c.seen[i], c.last[flow] = true, int64(i)
}

func (c *capture) fail(err error) {
	if c.fault == nil {
		c.fault = err
	}
}

// send sends frames first to first+count-1 from A, never more than window ahead of what has been captured.
func (c *capture) send(t testing.TB, s *afpacket.Sender, first, count, window uint64) {
	t.Helper()
	m := newTraffic(c.make.odd.n)
	buf, list := make([]byte, 0, 64*1600), make([][]byte, 0, 64)
	for sent := first; sent < first+count; {
		k := min(first+count-sent, 64, window)
		for deadline := time.Now().Add(vethPatience); sent+k > c.got.Load()+window; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%d frames sent, %d arrived, and nothing more", sent, c.got.Load())
			}
		}
		buf, list = buf[:0], list[:0]
		for range k {
			at := len(buf)
			buf = m.frame(buf, sent)
			list = append(list, buf[at:])
			sent++
		}
		if _, err := s.Send(list); err != nil {
			t.Fatal(err)
		}
	}
}
