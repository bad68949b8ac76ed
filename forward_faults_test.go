package xrx_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"xrx"
	"xrx/gro"
	"xrx/internal/frames"
	"xrx/internal/testnet"
)

// plainFrames returns UDP frames of size bytes from A to what A takes for B, each with its number.
func plainFrames(n *testnet.Net, count, size int) [][]byte {
	list := make([][]byte, count)
	for i := range list {
		f := frames.Frame{SrcMAC: n.A.MAC, DstMAC: n.B.MAC, Src: n.A.IP4, Dst: n.B.IP4, Proto: frames.ProtoUDP, SrcPort: 1000, DstPort: 9, ID: uint16(i)}
		f.Payload = make([]byte, size-f.Headers())
		f.Payload[0], f.Payload[1] = byte(i), byte(i>>8)
		list[i] = f.Append(nil)
	}
	return list
}

func sendAll(t testing.TB, n *testnet.Net, list [][]byte) {
	t.Helper()
	s := sender(t, n)
	for len(list) > 0 {
		k := min(len(list), 64)
		if _, err := s.Send(list[:k]); err != nil {
			t.Fatal(err)
		}
		list = list[k:]
	}
}

// An interface that is down keeps what is on its tx ring and drops the rest by name; the ledger says so while it lasts,
// and when the link is back packets go again.
func TestFramesForAnInterfaceThatIsDownAreCountedAndTheForwarderGoesOn(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	w := newWire(t, testnet.Options{}, false)
	f := w.forward(t, nearIface, &xrx.ForwardConfig{Config: xrx.Config{GRO: &gro.Config{}, CloseTimeout: 200 * time.Millisecond}})
	x := runForward(t, f)
	k := newCapture(t, w.C, newTraffic(w.Net), 3000, false)
	s := sender(t, w.Net)
	k.send(t, s, 0, 1000, 192)
	eventually(t, vethPatience, "the first thousand arrives", func() bool { return k.got.Load() == 1000 })

	w.change(t, netlink.LinkSetDown)
	sent := uint64(0)
	lost := func() (n uint64) {
		for why, k := range f.Snapshot(0).Queues[0].Drops {
			if !strings.HasPrefix(why, "tx_") {
				t.Fatalf("dropped for %s", why)
			}
			n += k
		}
		return n
	}
	for range 5 {
		list := plainFrames(w.Net, 100, 200)
		sendAll(t, w.Net, list)
		sent += 100
		eventually(t, vethPatience, "they are accounted for", func() bool {
			l := f.Ledger()
			if l.Lost != 0 {
				t.Fatalf("ledger: %v", l)
			}
			return f.Snapshot(0).Queues[0].Packets == 1000+sent && lost()+uint64(l.Sending) == sent && l.Received+l.Held == 0
		})
	}
	during := f.Ledger()
	if f.Snapshot(0).Queues[0].Drops["tx_down"] == 0 || during.Sending == 0 {
		t.Errorf("while it is down: %v, dropped %v", during, f.Snapshot(0).Queues[0].Drops)
	}

	w.change(t, netlink.LinkSetUp)
	eventually(t, vethPatience, "what was on the ring has gone", func() bool { return f.Ledger().Sending == 0 })
	k.got.Store(1000)
	k.send(t, s, 1000, 2000, 192)
	eventually(t, vethPatience, "the rest arrives", func() bool { return k.got.Load() >= 3000 })
	x.ended(f)
	t.Logf("while down: %v; dropped in all %v", during, f.Snapshot(0).Queues[0].Drops)
}

// Stopped while the interface is down: what is on the tx ring comes back when the socket is closed.
func TestFramesOfADownInterfaceComeHomeAtClose(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	w := newWire(t, testnet.Options{}, false)
	for _, cfg := range []xrx.ForwardConfig{{}, {OneWay: true}} {
		f := w.forward(t, nearIface, &cfg)
		x := runForward(t, f)
		w.change(t, netlink.LinkSetDown)
		sendAll(t, w.Net, plainFrames(w.Net, 100, 200))
		eventually(t, vethPatience, "they arrive", func() bool { return f.Snapshot(0).Queues[0].Packets >= 100 })
		if err := x.end(); err != nil {
			t.Fatal(err)
		}
		l := f.Ledger()
		if l.Lost != 0 || l.Sending == 0 || l.Free+l.Filling+l.Sending != l.Total {
			t.Errorf("ledger at rest: %v", l)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if l := f.Ledger(); l.Lost != 0 || l.Free != l.Total {
			t.Errorf("ledger after Close: %v", l)
		}
		w.change(t, netlink.LinkSetUp)
	}
}

func TestAForwarderEndsWhenEitherInterfaceIsDeleted(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	for name, c := range map[string]struct {
		out, oneWay bool
	}{"the first": {}, "the second": {out: true}, "the first, one way": {oneWay: true}, "the second, one way": {true, true}} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, testnet.Options{}, false)
			f := w.forward(t, nearIface, &xrx.ForwardConfig{OneWay: c.oneWay})
			x := runForward(t, f)
			sendAll(t, w.Net, plainFrames(w.Net, 50, 200))
			eventually(t, vethPatience, "packets go through", func() bool { return f.Snapshot(0).Queues[0].Tx.Completed == 50 })
			gone := w.B.Iface
			if c.out {
				gone = nearIface
				w.change(t, netlink.LinkDel)
			} else if err := w.B.Delete(); err != nil {
				t.Fatal(err)
			}
			if err := x.wait(vethPatience); !errors.Is(err, xrx.ErrDeleted) || !strings.Contains(err.Error(), gone) {
				t.Errorf("Run returned %v, want ErrDeleted and %s", err, gone)
			}
			if l := f.Ledger(); l.Lost != 0 {
				t.Errorf("ledger: %v", l)
			}
		})
	}
}

func TestPacketsLongerThanTheMTUOfTheOtherSideAreDroppedByName(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	w := newWire(t, testnet.Options{}, false)
	w.change(t, func(l netlink.Link) error { return netlink.LinkSetMTU(l, 1000) })
	f := w.forward(t, nearIface, &xrx.ForwardConfig{OneWay: true})
	x := runForward(t, f)
	drops := func() uint64 { return f.Snapshot(0).Queues[0].Drops["tx_mtu"] }
	sent := func() uint64 { return f.Snapshot(0).Queues[0].Tx.Packets }
	sendAll(t, w.Net, append(plainFrames(w.Net, 10, 1014), plainFrames(w.Net, 7, 1015)...))
	eventually(t, vethPatience, "10 are sent and 7 dropped", func() bool { return sent() == 10 && drops() == 7 })
	w.change(t, func(l netlink.Link) error { return netlink.LinkSetMTU(l, 1400) })
	eventually(t, vethPatience, "the new MTU is in force", func() bool {
		before := sent()
		total := before + drops()
		sendAll(t, w.Net, plainFrames(w.Net, 1, 1414))
		eventually(t, vethPatience, "it is sent or dropped", func() bool { return sent()+drops() > total })
		return sent() > before
	})
	x.ended(f)
}

// Back out of the interface that they came from, with the addresses exchanged.
func TestAReflectorSendsEveryFrameBackToItsSender(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const count = 10_000
	w := newWire(t, testnet.Options{}, false)
	f := w.forward(t, w.B.Iface, &xrx.ForwardConfig{SwapMAC: true, Config: xrx.Config{GRO: &gro.Config{UDPPorts: []uint16{trafficPort}}}})
	k := newCapture(t, w.A, newTraffic(w.Net), count, true)
	x := runForward(t, f)
	k.send(t, sender(t, w.Net), 0, count, 192)
	eventually(t, vethPatience, "everything comes back", func() bool { return k.got.Load() >= count })
	x.ended(f)
	k.close()
	if q := f.Snapshot(0).Queues[0]; k.fault != nil || k.got.Load() != count || q.Tx.Completed != count || len(q.Drops) != 0 {
		t.Errorf("%v; %d came back, %+v, dropped %v", k.fault, k.got.Load(), q.Tx, q.Drops)
	}
	w.InB(func() {
		if _, err := xrx.OpenForward(w.B.Iface, w.B.Iface, nil); err == nil || !strings.Contains(err.Error(), "--swap-mac") {
			t.Errorf("without SwapMAC: %v", err)
		}
	})
}

// A tag that travels beside the packet, as that of a VLAN interface does over veth, is in the packet when it leaves.
func TestAVLANTagThatTheDeviceTookOffIsPutBack(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	w := newWire(t, testnet.Options{}, true)
	push, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R2, int32(binary.NativeEndian.Uint16([]byte{0x81, 0}))), asm.Mov.Imm(asm.R3, 7), asm.FnSkbVlanPush.Call(), // beside the packet
		asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	defer push.Close()
	w.InA(func() {
		l, err := link.AttachTCX(link.TCXOptions{Interface: w.A.Index, Program: push, Attach: ebpf.AttachTCXEgress})
		if err != nil {
			t.Skipf("needs BPF programs at tcx (Linux 6.6): %v", err)
		}
		t.Cleanup(func() { l.Close() })
	})
	var got atomic.Uint64
	var wrong atomic.Value
	f := w.forward(t, nearIface, &xrx.ForwardConfig{})
	if !f.Directions()[0].Mode.HWMeta {
		t.Skipf("needs a program that asks veth for the tag (Linux 6.8): %s", f.Directions()[0].Mode.Reason)
	}
	// The far side is a receiver of our own, which sees bytes as they are: the kernel takes tags off before any socket.
	var far *xrx.Receiver
	if err := w.C.Do(func() (err error) {
		far, err = xrx.Open(farIface, nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	y := run(t, far, xrx.Handler(func(p xrx.Packet) {
		b := p.Data()
		if b[12] != 0x81 || b[13] != 0 || b[14]&15 != 0 || b[15] != 7 || b[16] != 8 || p.Len() != 204 {
			wrong.Store(append([]byte(nil), b[:40]...))
		}
		got.Add(1)
	}))
	x := runForward(t, f)
	sendAll(t, w.Net, plainFrames(w.Net, 20, 200))
	eventually(t, vethPatience, "they arrive", func() bool { return got.Load() == 20 })
	x.ended(f)
	if err := y.end(); err != nil {
		t.Error(err)
	}
	if b := wrong.Load(); b != nil {
		t.Errorf("a packet without its tag: % x", b)
	}
	if n := f.Snapshot(0).Queues[0].Tx.Tags; n != 20 {
		t.Errorf("%d tags put back", n)
	}
}

func TestAFilterDecidesAndItsPanicCostsOnePacket(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const count = 120
	w := newWire(t, testnet.Options{}, false)
	var seen int
	var kept []xrx.Packet
	f := w.forward(t, nearIface, &xrx.ForwardConfig{OneWay: true, Filter: func(p xrx.Packet) bool {
		seen++
		switch seen % 4 {
		case 0:
			return false
		case 1:
			if seen == 1 {
				panic("at the first packet")
			}
			p.Retain()
			kept = append(kept, p)
		}
		return true
	}})
	x := runForward(t, f)
	sendAll(t, w.Net, plainFrames(w.Net, count, 200))
	eventually(t, vethPatience, "all were decided on", func() bool { return f.Snapshot(0).Queues[0].Packets == count })
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	q := f.Snapshot(0).Queues[0]
	if q.Drops["tx_filtered"] != count/4 || q.Drops["tx_shared"] != count/4-1 || q.Drops["panic"] != 1 || q.Tx.Packets != count/2 || q.Tx.Completed != count/2 {
		t.Errorf("dropped %v, sent %+v", q.Drops, q.Tx)
	}
	if q.Ledger.Delivered != len(kept) || q.Ledger.Lost != 0 {
		t.Errorf("%d kept; ledger %v", len(kept), q.Ledger)
	}
	xrx.Release(kept)
}

// Packets over several frames go out as several descriptors (XDP_USE_SG), and two queues stay apart.
func TestLargePacketsAndSeveralQueuesAreForwardedWhole(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	w := newWire(t, testnet.Options{MTU: 9000, Queues: 2}, true)
	for name, merge := range map[string]*gro.Config{"GRO on": {}, "GRO off": nil} {
		t.Run(name, func(t *testing.T) {
			f := w.forward(t, nearIface, &xrx.ForwardConfig{Config: xrx.Config{GRO: merge}})
			x := runForward(t, f)
			for range 4 {
				echoed(t, w, w.C.IP4, 2<<20)
			}
			x.ended(f)
			s := f.Snapshot(0)
			var packets, frames uint64
			for _, q := range s.Queues {
				packets += q.Tx.Packets
				frames += q.Tx.Completed
			}
			if len(s.Queues) != 2 || frames < packets*2 {
				t.Errorf("%d queues; %d packets in %d frames: they are not larger than a frame", len(s.Queues), packets, frames)
			}
		})
	}
}

func TestAForwarderIsRefusedWhereQueuesDoNotMatch(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	w := newWire(t, testnet.Options{Queues: 2}, false)
	w.InB(func() {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "one0"
		veth := netlink.NewVeth(attrs)
		veth.PeerName = "one1"
		if err := errors.Join(netlink.LinkAdd(veth), up("one0"), up("one1")); err != nil {
			t.Fatal(err)
		}
		if _, err := xrx.OpenForward(w.B.Iface, "one0", nil); err == nil || !strings.Contains(err.Error(), "ethtool -L") {
			t.Errorf("two queues to one: %v", err)
		}
		f, err := xrx.OpenForward(w.B.Iface, "one0", &xrx.ForwardConfig{Config: xrx.Config{Queues: []int{0}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if _, err := xrx.OpenForward(w.B.Iface, "nope0", nil); err == nil || !strings.Contains(err.Error(), "nope0") {
			t.Errorf("an interface that is not there: %v", err)
		}
	})
}

// forwardUntilKilled is a forwarder in a process of its own: see TestMain.
func forwardUntilKilled(in, out string) {
	f, err := xrx.OpenForward(in, out, nil)
	if err == nil {
		err = f.Run(context.Background())
	}
	println(err.Error())
	os.Exit(1)
}

func TestAKilledForwarderLeavesNothing(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	w := newWire(t, testnet.Options{}, false)
	promiscuous := func(iface string) (on, program bool) {
		w.InB(func() {
			l, err := netlink.LinkByName(iface)
			if err != nil {
				t.Fatal(err)
			}
			a := l.Attrs()
			on, program = a.Promisc != 0, a.Xdp != nil && a.Xdp.Attached
		})
		return on, program
	}
	for range 2 { // the second finds nothing in its way
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "XRX_TEST_FORWARD="+w.B.Iface+","+nearIface)
		w.InB(func() {
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
		})
		ended := make(chan struct{})
		go func() { c.Wait(); close(ended) }()
		t.Cleanup(func() { c.Process.Kill(); <-ended })
		k := newCapture(t, w.C, newTraffic(w.Net), 1, false)
		s := sender(t, w.Net)
		one := newTraffic(w.Net).frame(nil, 0)
		eventually(t, vethPatience, "it forwards", func() bool {
			if _, err := s.Send([][]byte{one}); err != nil {
				t.Fatal(err)
			}
			return k.got.Load() > 0
		})
		for _, iface := range []string{w.B.Iface, nearIface} {
			if on, program := promiscuous(iface); !on || !program {
				t.Errorf("%s while it runs: promiscuous %v, program %v", iface, on, program)
			}
		}
		if err := c.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-ended
		for _, iface := range []string{w.B.Iface, nearIface} {
			eventually(t, vethPatience, iface+" is as before", func() bool { on, program := promiscuous(iface); return !on && !program })
		}
		k.close()
	}
}
