package zcvm_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"

	"xrx"
	"xrx/gro"
	"xrx/internal/afpacket"
	"xrx/internal/fakekernel"
	"xrx/internal/oracle"
	"xrx/umem"
)

// vectorGRO is the configuration of the tests against the kernel's GRO over veth: one bucket of 8 flows. The hold timer
// ends no burst, the end of Run does: what is merged does not depend on how busy the machine is.
var vectorGRO = gro.Config{Profile: gro.Linux618, Flows: 8, UDPPorts: oracle.UDPPorts, Flush: time.Minute}

// The random bursts that are compared with the kernel's GRO over veth, through a card: what is delivered is what the
// same engine makes of the same frames in memory, in order, bytes, segments and gso_size; taken apart it is what was
// sent.
func TestRandomBurstsMergeOverZeroCopyFramesAsTheyDoInMemory(t *testing.T) {
	w := zeroCopyWire(t)
	const most, least = 200, 40 // bursts; fewer than most on a machine that takes longer than enough
	const enough = 10 * time.Second
	takeEverything(t, w)
	r := w.open(t, xrx.Config{GRO: &vectorGRO})
	if len(r.Snapshot().Queues) > 1 {
		t.Skip("a burst is one queue's: between queues there is no order")
	}
	socket, err := afpacket.NewSender(w.peer.Index, afpacket.SenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	m := newInMemory(t)
	sent, merged, bursts := uint64(0), 0, uint64(0)
	began := time.Now()
	for ; bursts < most && (bursts < least || time.Since(began) < enough); bursts++ {
		list := onTheWire(oracle.Random(bursts + 1))
		var own []oracle.Result
		var wire [][]byte
		running := run(t, r, xrx.Handler(func(p xrx.Packet) {
			own = append(own, oracle.Result{Data: bytes.Clone(p.Bytes(nil)), Segs: p.Count(), GSOSize: p.GSOSize()})
			wire = p.AppendWire(wire)
			if p.Count() > 1 && p.Checksum() != umem.CsumFinished {
				t.Errorf("burst %d: %d frames merged, checksum state %d", bursts+1, p.Count(), p.Checksum())
			}
		}))
		if _, err := socket.Send(list); err != nil {
			t.Fatal(err)
		}
		sent += uint64(len(list))
		all := arrived(r, sent)
		running.end()
		if wrong := compare(list, wire); wrong != "" || !all {
			t.Fatalf("burst %d of %d frames, taken apart again: %s", bursts+1, len(list), wrong)
		}
		memory := m.deliver(list)
		if diff := oracle.Difference(memory, own); diff != "" {
			t.Fatalf("burst %d (the kernel is the engine in memory): %s\nin memory\n%szero-copy\n%s", bursts+1, diff, oracle.List(memory), oracle.List(own))
		}
		for _, p := range own {
			if p.Segs > 1 {
				merged += p.Segs
			}
		}
	}
	q := r.Snapshot().Queues[0]
	t.Logf("%d bursts of %d frames in %v, %d of them merged", bursts, sent, time.Since(began).Round(time.Millisecond), merged)
	if q.Packets != sent || len(q.Drops) != 0 || q.Kernel.Lost() != 0 || q.Ledger.Lost != 0 || q.GRO[gro.HoldTimer.String()] != 0 {
		t.Errorf("%d of %d frames, drops %v, kernel %+v, %v, GRO %v", q.Packets, sent, q.Drops, q.Kernel, q.Ledger, q.GRO)
	}
	if uint64(merged) < sent/5 {
		t.Errorf("only %d of %d frames were merged: the bursts ask nothing", merged, sent)
	}
}

// takeEverything makes the receiving card deliver frames as they are on the wire, whoever they are for: their addresses
// and tags are nobody's here, and a card may filter by either, or take tags out.
func takeEverything(t *testing.T, w wire) {
	t.Helper()
	link, err := netlink.LinkByIndex(w.iface.Index)
	if err == nil {
		err = netlink.SetPromiscOn(link)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netlink.SetPromiscOff(link); err != nil {
			t.Error(err)
		}
	})
	e, err := ethtool.NewEthtool()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	const strip = "rx-vlan-hw-parse"
	if on, err := e.Features(w.iface.Name); err != nil {
		t.Fatal(err)
	} else if !on[strip] {
		return
	}
	if err := e.Change(w.iface.Name, map[string]bool{strip: false}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Change(w.iface.Name, map[string]bool{strip: true}); err != nil {
			t.Error(err)
		}
	})
}

// onTheWire returns those of a burst's frames that the cards carry, as they are sent: the shortest frame of Ethernet has
// 60 bytes. QEMU's igb reads what it sends (net_tx_pkt_parse in hw/net/net_tx_pkt.c) and sends nothing whose IP header
// is not whole.
func onTheWire(b oracle.Burst) (list [][]byte) {
	for _, p := range b {
		if os.Getenv("XRX_ZC_NIC") == "igb" && (strings.Contains(p.Note, "cut in the IP header") || strings.Contains(p.Note, "another version or header length")) {
			continue
		}
		f := p.Frame
		if len(f) < 60 {
			f = append(bytes.Clone(f), make([]byte, 60-len(f))...)
		}
		list = append(list, f)
	}
	return list
}

// arrived waits until a receiver with one queue has received so many frames, and says whether it has.
func arrived(r *xrx.Receiver, count uint64) bool {
	for end := time.Now().Add(patience); r.Snapshot().Queues[0].Packets < count; time.Sleep(200 * time.Microsecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// compare says which frames are in only one of two lists, in any order; empty: none.
func compare(sent, came [][]byte) (wrong string) {
	count := map[string]int{}
	for _, f := range sent {
		count[string(f)]++
	}
	for _, f := range came {
		count[string(f)]--
	}
	for f, n := range count {
		if n != 0 {
			wrong += fmt.Sprintf("\n%+d too few: %s, % x", n, oracle.Describe([]byte(f)), f[:min(len(f), 80)])
		}
	}
	return wrong
}

// inMemory is the receiver's GRO engine over frames that no device and no kernel has touched.
type inMemory struct {
	t    *testing.T
	mem  *umem.Umem
	pool *umem.Pool
	gro  *gro.Engine
}

func newInMemory(t *testing.T) *inMemory {
	t.Helper()
	mem, pools := fakekernel.NewUmem(t, umem.Config{Frames: 512}, 1)
	e, err := gro.New(pools[0], vectorGRO)
	if err != nil {
		t.Fatal(err)
	}
	return &inMemory{t, mem, pools[0], e}
}

// deliver returns what the engine makes of a burst.
func (m *inMemory) deliver(list [][]byte) (got []oracle.Result) {
	m.t.Helper()
	var in []*umem.Header
	for _, frame := range list {
		var slot [1]uint64
		if m.pool.Fill(slot[:]) != 1 {
			m.t.Fatal("no frame is free")
		}
		at := slot[0] + uint64(m.mem.PacketOffset())
		copy(m.mem.Memory()[at:], frame)
		h, fault := m.pool.Receive(at, uint32(len(frame)))
		if h == nil {
			m.t.Fatal(fault)
		}
		in = append(in, h)
	}
	m.gro.Receive(in)
	m.gro.FlushAll()
	for _, h := range m.gro.Out() {
		m.pool.Deliver(h)
		p := oracle.Result{Data: make([]byte, h.Total), Segs: int(h.Segs), GSOSize: int(h.GSOSize)}
		gro.CopyTo(p.Data, m.mem, h)
		got = append(got, p)
		m.pool.ReleaseLocal(h, h.Gen())
	}
	m.gro.ResetOut()
	if l := m.pool.Audit(); l.Free != l.Total || l.Lost != 0 {
		m.t.Fatalf("in memory: %v", l)
	}
	return got
}
