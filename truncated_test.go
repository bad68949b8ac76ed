package xrx_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/bpf"
	"xrx/gro"
	"xrx/internal/frames"
	"xrx/internal/testnet"
	"xrx/privsep"
)

// cutFrames are the segments of a TCP flow, and packets of others; of every fourth frame an end is missing, from one
// byte up.
func cutFrames(n *testnet.Net, count int) (list [][]byte, cut map[int]bool) {
	cut = map[int]bool{}
	payload := bytes.Repeat([]byte("abcdefgh"), 100)
	seq := uint32(1)
	for i := range count {
		f := frames.TCP(addrPort(n.A.IP4, 7), addrPort(n.B.IP4, 9), seq, payload)
		switch {
		case i%4 == 3 && i%16 < 8 && n.A.IP6.IsValid():
			f = frames.UDP(addrPort(n.A.IP6, 7), addrPort(n.B.IP6, 9), payload)
		case i%16 == 11:
			f = frames.UDP(addrPort(n.A.IP4, 7), addrPort(n.B.IP4, 9), payload)
			f.VLANs = []frames.VLAN{{TCI: 5}}
		default:
			seq += uint32(len(payload))
		}
		f.SrcMAC, f.DstMAC, f.ID = n.A.MAC, n.B.MAC, uint16(i)
		b := f.Append(nil)
		if i%4 == 3 {
			cut[i], b = true, b[:len(b)-1-(i/4)%500]
		}
		list = append(list, b)
	}
	return list, cut
}

func TestFramesThatAreCutOnTheirWayAreCountedToldOnceAndDeliveredAsTheyCame(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const count, runs = 2000, 2
	for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
		for name, merge := range map[string]*gro.Config{"without GRO": nil, "with GRO": {Flush: time.Millisecond}} {
			t.Run(fmt.Sprintf("%v %s", mode, name), func(t *testing.T) {
				n := testnet.New(t, testnet.Options{})
				var log eventLog
				r := open(t, n, &xrx.Config{Attach: mode, Frames: 1024, GRO: merge, OnEvent: log.on})
				list, cut := cutFrames(n, count)
				want := map[string]int{} // a cut frame's bytes: how often it was sent
				for i := range cut {
					want[string(list[i])] += runs
				}
				for round := range runs {
					var arrived, merged atomic.Uint64
					x := run(t, r, xrx.Handler(func(p xrx.Packet) {
						if p.Count() > 1 {
							merged.Add(1)
						} else if b := p.Data(); want[string(b)] > 0 {
							want[string(b)]--
						}
						arrived.Add(uint64(p.Count()))
					}))
					windowed(t, sender(t, n), count, 16, func(b []byte, i uint64) []byte { return append(b, list[i]...) }, arrived.Load)
					eventually(t, patience, "all frames have arrived", func() bool { return arrived.Load() >= count })
					if round == 0 { // told while it runs; the second run tells nothing
						log.await(t, xrx.FramesTruncated, 1, time.Now())
					}
					if err := x.end(); err != nil {
						t.Fatal(err)
					}
					if arrived.Load() != count || (merged.Load() > 0) != (merge != nil) {
						t.Errorf("%d frames of %d arrived, %d packets merged of several; GRO %v", arrived.Load(), count, merged.Load(), r.Snapshot().Queues[0].GRO)
					}
				}
				for b, left := range want {
					if left != 0 {
						t.Fatalf("a cut frame of %d bytes did not arrive as it was %d times", len(b), left)
					}
				}
				s := r.Snapshot()
				if s.XDP["truncated"] != uint64(runs*len(cut)) || s.XDP["redirected"] != runs*count || s.Events["frames_truncated"] != 1 {
					t.Errorf("program counted %v, events %v: want %d truncated, told once", s.XDP, s.Events, runs*len(cut))
				}
				if q := s.Queues[0]; len(q.Drops) != 0 || q.Kernel.Lost() != 0 || q.Ledger.Lost != 0 || (q.GRO["ipv4_length"] > 0) != (merge != nil) {
					t.Errorf("drops %v, kernel %+v, %v, GRO %v", q.Drops, q.Kernel, q.Ledger, q.GRO)
				}
				e, _ := log.find(xrx.FramesTruncated, 1)
				if !e.Warning || !strings.Contains(e.Text, "shorter than their IP length") || !strings.Contains(e.Text, "smaller MTU") {
					t.Errorf("event %+v", e)
				}
			})
		}
	}
}

// Ethernet pads short frames, and packets over several frames are whole although the first buffer is shorter.
func TestPaddedFramesAndThoseOverSeveralBuffersAreNotTakenForCut(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{MTU: 9000})
	var log eventLog
	r := open(t, n, &xrx.Config{Frames: 1024, MultiBuffer: xrx.MultiBufferOn, OnEvent: log.on})
	var list [][]byte
	for i := range 200 {
		f := frames.UDP(addrPort(n.A.IP4, 7), addrPort(n.B.IP4, 9), make([]byte, i*44)) // 42 bytes to 8798
		f.SrcMAC, f.DstMAC, f.Pad = n.A.MAC, n.B.MAC, true
		list = append(list, f.Append(nil))
	}
	cut := len(list[199]) - 1
	list = append(list, list[199][:cut]) // but this one is
	var arrived, chains atomic.Uint64
	x := run(t, r, xrx.Handler(func(p xrx.Packet) {
		if p.IsChain() {
			chains.Add(1)
		}
		arrived.Add(1)
	}))
	windowed(t, sender(t, n), uint64(len(list)), 8, func(b []byte, i uint64) []byte { return append(b, list[i]...) }, arrived.Load)
	eventually(t, patience, "all frames have arrived", func() bool { return arrived.Load() >= uint64(len(list)) })
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	e, told := log.find(xrx.FramesTruncated, 1) // however short the run was
	if s := r.Snapshot(); s.XDP["truncated"] != 1 || chains.Load() < 100 || !told || !strings.Contains(e.Text, fmt.Sprintf("1 packets so far were shorter than their IP length says, the last had %d bytes", cut)) {
		t.Errorf("program counted %v, %d packets over several frames, told %q", s.XDP, chains.Load(), e.Text)
	}
}

// Through a helper, the program and its word are another process's.
func TestFramesThatAreCutAreToldOfThroughAHelperToo(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{})
	socket := serving(t, n, privsep.Policy{Interfaces: []string{n.B.Iface}, UIDs: []int{os.Getuid()}})
	var log eventLog
	r := open(t, n, &xrx.Config{Helper: socket, Frames: 512, OnEvent: log.on})
	list, cut := cutFrames(n, 64)
	var arrived atomic.Uint64
	x := run(t, r, xrx.Handler(func(xrx.Packet) { arrived.Add(1) }))
	windowed(t, sender(t, n), 64, 16, func(b []byte, i uint64) []byte { return append(b, list[i]...) }, arrived.Load)
	eventually(t, patience, "all frames have arrived", func() bool { return arrived.Load() >= 64 })
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	e, told := log.find(xrx.FramesTruncated, 1)
	if s := r.Snapshot(); s.XDP["truncated"] != uint64(len(cut)) || !told || !strings.Contains(e.Text, fmt.Sprintf("the last had %d bytes", len(list[63]))) {
		t.Errorf("program counted %v, told %q: want %d of %d cut, the last to %d bytes", s.XDP, e.Text, len(cut), len(list), len(list[63]))
	}
}
