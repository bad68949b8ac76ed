package xrx_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/bpf"
	"xrx/gro"
	"xrx/internal/afpacket"
	"xrx/internal/frames"
	"xrx/internal/gen"
	"xrx/internal/testnet"
	"xrx/umem"
)

// metasOf sends frames one after another and returns the metadata each arrives with; its bytes are compared.
func metasOf(t *testing.T, n *testnet.Net, r *xrx.Receiver, list [][]byte) []xrx.Meta {
	t.Helper()
	var got []xrx.Meta
	var arrived atomic.Uint64
	x := run(t, r, xrx.Handler(func(p xrx.Packet) {
		if i := len(got); i < len(list) && !bytes.Equal(p.Data(), list[i]) {
			t.Errorf("frame %d arrived as\n%s, sent was\n%s", i, hex.EncodeToString(p.Data()), hex.EncodeToString(list[i]))
		}
		got = append(got, p.Meta())
		arrived.Add(1)
	}))
	windowed(t, sender(t, n), uint64(len(list)), 16, func(b []byte, i uint64) []byte { return append(b, list[i]...) }, arrived.Load)
	eventually(t, 5*time.Second, "all frames have arrived", func() bool { return arrived.Load() >= uint64(len(list)) })
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(list) {
		t.Fatalf("%d frames arrived, %d were sent", len(got), len(list))
	}
	return got
}

func TestMetadataOfThePacketBeforeIsNeverTakenForThisOnes(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			const chunks = 64
			n := testnet.New(t, testnet.Options{})
			r := open(t, n, &xrx.Config{Attach: mode, Frames: chunks})
			m := newFrameMaker(n, 16)
			list := make([][]byte, 4*chunks) // each chunk has several packets
			for i := range list {
				list[i], _ = m.frame(nil, uint64(i))
			}
			reload := func(o bpf.Options) {
				n.InB(func() {
					if err := r.Reload(o); err != nil {
						t.Fatal(err)
					}
				})
			}
			var kept xrx.Packet
			var was xrx.Meta
			for round := range 2 {
				if round > 0 {
					reload(bpf.Options{})
				}
				for i, got := range metasOf(t, n, r, list) {
					if got.Kind != 1 || got.Hash == 0 {
						t.Fatalf("round %d: frame %d: metadata %+v", round, i, got)
					}
				}
				if round == 0 {
					kept = keepOne(t, n, r)
					was = kept.Meta()
				}
				// Now the same chunks, full of old metadata, come back from a driver that refuses it.
				reload(bpf.Options{RefuseMeta: true})
				for i, got := range metasOf(t, n, r, list) {
					if got != (xrx.Meta{}) {
						t.Fatalf("round %d: frame %d was sent without metadata, and shows %+v", round, i, got)
					}
				}
				if x := r.Snapshot().XDP; x["meta_refused"] != uint64(len(list)) || x["redirected"] != uint64(len(list)) {
					t.Errorf("round %d: program counted %v, want %d without metadata", round, x, len(list))
				}
			}
			// A packet that somebody has in hand keeps what it came with: its headroom is the consumer's.
			if got := kept.Meta(); got != was {
				t.Errorf("the packet kept from before had %+v, now %+v", was, got)
			}
			kept.Release()
		})
	}
}

// keepOne receives one packet and keeps it beyond Run.
func keepOne(t *testing.T, n *testnet.Net, r *xrx.Receiver) xrx.Packet {
	t.Helper()
	got := make(chan xrx.Packet, 1)
	x := run(t, r, xrx.Handler(func(p xrx.Packet) {
		p.Retain()
		got <- p
	}))
	newFrameMaker(n, 1).send(t, sender(t, n), 0, 1, func() uint64 { return 0 })
	var p xrx.Packet
	eventually(t, 5*time.Second, "a packet has arrived", func() bool {
		select {
		case p = <-got:
			return true
		default:
			return false
		}
	})
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhatIsKnownAboutAPacketArrivesWithIt(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{})
	four := frames.UDP(addrPort(n.A.IP4, 7), addrPort(n.B.IP4, 9), []byte("payload of a packet"))
	if !n.A.IP6.IsValid() {
		t.Skip("needs IPv6")
	}
	six := frames.UDP(addrPort(n.A.IP6, 7), addrPort(n.B.IP6, 9), []byte("payload of a packet"))
	with := func(f frames.Frame, change func(*frames.Frame)) frames.Frame { change(&f); return f }
	options := []byte{0, 1, 4, 0, 0, 0, 0} // length 0, one PadN option: 8 bytes with the next header in front
	ext := func(list ...frames.Ext) func(*frames.Frame) { return func(f *frames.Frame) { f.Exts = list } }
	for _, c := range []struct {
		name  string
		frame frames.Frame
		want  xrx.Meta
	}{
		{"UDP over IPv4", four, xrx.Meta{Flags: umem.HashL4, L3: 4, L3Off: 14, L4Off: 34, L4Proto: 17}},
		{"UDP over IPv6", six, xrx.Meta{Flags: umem.HashL4, L3: 6, L3Off: 14, L4Off: 54, L4Proto: 17}},
		{"IPv4 options move layer 4", with(four, func(f *frames.Frame) { f.IPOptions = []byte{1, 1, 1, 0} }), xrx.Meta{Flags: umem.HashL4, L3: 4, L3Off: 14, L4Off: 38, L4Proto: 17}},
		{"a first IPv4 fragment has its UDP header", with(four, func(f *frames.Frame) { f.Fragment = 0x2000 }), xrx.Meta{Flags: umem.Frag, L3: 4, L3Off: 14, L4Off: 34, L4Proto: 17}},
		{"a later one has none", with(four, func(f *frames.Frame) { f.Fragment = 0x00b9 }), xrx.Meta{Flags: umem.Frag, L3: 4, L3Off: 14, L4Proto: 17}},
		{"extension headers are skipped", with(six, ext(frames.Ext{Type: frames.ExtHopByHop, Body: options}, frames.Ext{Type: frames.ExtDestOpts, Body: options})),
			xrx.Meta{Flags: umem.HashL4, L3: 6, L3Off: 14, L4Off: 70, L4Proto: 17}},
		{"a first IPv6 fragment has its UDP header", with(six, ext(frames.Ext{Type: frames.ExtFragment, Body: []byte{0, 0, 1, 0, 0, 0, 9}})),
			xrx.Meta{Flags: umem.Frag, L3: 6, L3Off: 14, L4Off: 62, L4Proto: 17}},
		{"a later IPv6 fragment has none", with(six, func(f *frames.Frame) {
			f.NoL4, f.Exts = true, []frames.Ext{{Type: frames.ExtFragment, Body: []byte{0, 5, 0xc8, 0, 0, 0, 9}}}
		}), xrx.Meta{Flags: umem.Frag, L3: 6, L3Off: 14, L4Proto: 17}},
		{"an atomic IPv6 fragment is whole (RFC 6946)", with(six, ext(frames.Ext{Type: frames.ExtFragment, Body: []byte{0, 0, 0, 0, 0, 0, 9}})),
			xrx.Meta{Flags: umem.HashL4, L3: 6, L3Off: 14, L4Off: 62, L4Proto: 17}},
		{"a protocol without ports", with(four, func(f *frames.Frame) { f.Proto, f.NoL4 = 1, true }), xrx.Meta{L3: 4, L3Off: 14, L4Off: 34, L4Proto: 1}},
		{"a VLAN tag stays in the packet", with(four, func(f *frames.Frame) { f.VLANs = []frames.VLAN{{TCI: 0x6123}} }),
			xrx.Meta{Flags: umem.HashL4 | umem.VLANInBand, VLANTCI: 0x6123, L3: 4, L3Off: 18, L4Off: 38, L4Proto: 17}},
		{"of two tags the outer one counts", with(six, func(f *frames.Frame) {
			f.VLANs = []frames.VLAN{{TPID: frames.TypeQinQ, TCI: 0x8007}, {TCI: 5}}
		}), xrx.Meta{Flags: umem.HashL4 | umem.VLANInBand | umem.VLANAD, VLANTCI: 0x8007, L3: 6, L3Off: 22, L4Off: 62, L4Proto: 17}},
		{"not IP at all", frames.Frame{EtherType: 0x88b5, Payload: []byte("local experiment")}, xrx.Meta{}},
	} {
		for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
			t.Run(c.name+"/"+mode.String(), func(t *testing.T) {
				r := open(t, n, &xrx.Config{Attach: mode, Frames: 64})
				f := c.frame
				f.SrcMAC, f.DstMAC, f.Pad = n.A.MAC, n.B.MAC, true
				got := metasOf(t, n, r, [][]byte{f.Append(nil)})[0]
				want := c.want
				want.Kind, want.Hash = 1, got.Hash
				if got != want || got.Hash == 0 {
					t.Errorf("metadata\n%+v, want\n%+v and a hash", got, want)
				}
			})
		}
	}
}

func TestASymmetricHashIsTheSameInBothDirections(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{})
	var list [][]byte
	for flow := range uint16(32) {
		a, b := n.A.IP4, n.B.IP4
		if flow%2 == 1 && n.A.IP6.IsValid() {
			a, b = n.A.IP6, n.B.IP6
		}
		src, dst := addrPort(a, 1000+flow), addrPort(b, 2000-flow)
		for _, ends := range [][2]netip.AddrPort{{src, dst}, {dst, src}} {
			f := frames.UDP(ends[0], ends[1], []byte("there and back again"))
			if flow%4 >= 2 {
				f = frames.TCP(ends[0], ends[1], 1, []byte("there and back again"))
			}
			f.SrcMAC, f.DstMAC = n.A.MAC, n.B.MAC
			list = append(list, f.Append(nil))
		}
	}
	for _, symmetric := range []bool{true, false} {
		r := open(t, n, &xrx.Config{SymmetricHash: symmetric, Frames: 256})
		got, different := metasOf(t, n, r, list), map[uint32]bool{}
		for i := 0; i < len(got); i += 2 {
			there, back := got[i], got[i+1]
			if (there.Hash == back.Hash) != symmetric {
				t.Errorf("flow %d: hash %08x there, %08x back; symmetric: %v", i/2, there.Hash, back.Hash, symmetric)
			}
			if (there.Flags&umem.HashSym != 0) != symmetric || (back.Flags&umem.HashSym != 0) != symmetric {
				t.Errorf("flow %d: flags %08b and %08b; symmetric: %v", i/2, there.Flags, back.Flags, symmetric)
			}
			different[there.Hash] = true
		}
		if len(different) != len(got)/2 {
			t.Errorf("symmetric %v: %d hashes for %d flows", symmetric, len(different), len(got)/2)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheHashOfAFlowIsTheSameForAllItsPacketsOnEveryQueue(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	if runtime.NumCPU() < 2 {
		t.Skip("needs two processors: what is sent past the queueing discipline goes out on the queue of the sender's")
	}
	const flowCount, packets = 64, 10
	n := testnet.New(t, testnet.Options{Queues: 2})
	r := open(t, n, &xrx.Config{Attach: bpf.Native})
	var hashes [2]map[uint32]uint32 // by queue: flow -> hash
	var arrived atomic.Uint64
	for i := range hashes {
		hashes[i] = map[uint32]uint32{}
	}
	x := run(t, r, xrx.Handler(func(p xrx.Packet) {
		defer arrived.Add(1)
		_, flow, err := gen.Check(p.Data())
		if err != nil {
			t.Error(err)
			return
		}
		if old, ok := hashes[p.Queue()][flow]; ok && old != p.Meta().Hash {
			t.Errorf("flow %d: hash %08x, then %08x", flow, old, p.Meta().Hash)
		}
		hashes[p.Queue()][flow] = p.Meta().Hash
	}))
	s := n.SenderWith(afpacket.SenderOptions{BypassQdisc: true})
	for cpu := range 2 {
		back := onProcessor(t, cpu)
		w := flows(t, n, flowCount)
		for range packets {
			before := arrived.Load()
			list := make([][]byte, flowCount)
			for i := range list {
				list[i] = w.Append(nil)
			}
			s.Send(list...)
			eventually(t, 5*time.Second, "all flows have arrived", func() bool { return arrived.Load() == before+flowCount })
		}
		back()
	}
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	different := map[uint32]bool{}
	for flow := range uint32(flowCount) {
		a, ok0 := hashes[0][flow]
		b, ok1 := hashes[1][flow]
		if !ok0 || !ok1 || a != b || a == 0 {
			t.Errorf("flow %d: hash %08x on queue 0 (%v), %08x on queue 1 (%v)", flow, a, ok0, b, ok1)
		}
		different[a] = true
	}
	if len(different) != flowCount {
		t.Errorf("%d hashes for %d flows", len(different), flowCount)
	}
}

// Without metadata nothing is believed that stands where it would: not by a consumer, a worker, or GRO.
func TestWithoutMetadataNothingInFrontOfAPacketIsBelieved(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{})
	const count, size = 640, 1000
	segments := func(b []byte, i uint64) []byte { // of one TCP stream, ten to a packet
		f := frames.TCP(addrPort(n.A.IP4, 7), addrPort(n.B.IP4, 9), uint32(i*size), bytes.Repeat([]byte{byte(i)}, size))
		f.SrcMAC, f.DstMAC, f.ID = n.A.MAC, n.B.MAC, uint16(i)
		if i%10 == 9 {
			f.Flags |= frames.PSH
		}
		return f.Append(b)
	}
	for _, cfg := range []*xrx.Config{{}, {GRO: &gro.Config{}}, {GRO: &gro.Config{}, Workers: 2}} {
		cfg.NoMeta, cfg.Frames = true, 2048
		r := open(t, n, cfg)
		r.ForgeMeta()
		var arrived, merged atomic.Uint64
		x := run(t, r, xrx.Handler(func(p xrx.Packet) {
			if m := p.Meta(); m != (xrx.Meta{}) {
				t.Errorf("metadata %+v", m)
			}
			if p.Count() > 1 {
				merged.Add(1)
			}
			arrived.Add(uint64(p.Count()))
		}))
		windowed(t, sender(t, n), count, 64, segments, arrived.Load)
		eventually(t, 5*time.Second, "all have arrived", func() bool { return arrived.Load() == count })
		if err := x.end(); err != nil {
			t.Fatal(err)
		}
		if (merged.Load() > 0) != (cfg.GRO != nil) {
			t.Errorf("%d merged packets; GRO: %v", merged.Load(), cfg.GRO != nil)
		}
		if s := r.Snapshot(); s.XDP["redirected"] != count || s.XDP["meta_refused"] != 0 {
			t.Errorf("the program counted %v", s.XDP)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A veth answers for packets that come with an skb: a hash, no time, a tag only where one was taken off.
func TestADeviceAnswersWhereItCanAndWhatItDoesNotKnowIsAbsent(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{})
	r := open(t, n, &xrx.Config{HWMeta: true, Attach: bpf.Native})
	if !r.Mode().HWMeta {
		t.Skipf("this kernel binds no program to a veth: %s", r.Mode().Reason)
	}
	var list [][]byte
	udp := frames.UDP(addrPort(n.A.IP4, 7), addrPort(n.B.IP4, 9), []byte("one"))
	tagged := udp
	tagged.VLANs = []frames.VLAN{{TCI: 0x2005}}
	other := frames.Frame{EtherType: 0x88b5, Payload: []byte("local experiment")}
	for _, f := range []frames.Frame{udp, udp, tagged, other} {
		f.SrcMAC, f.DstMAC, f.Pad = n.A.MAC, n.B.MAC, true
		list = append(list, f.Append(nil))
	}
	got := metasOf(t, n, r, list)
	// A packet socket points skbs behind the tag, where 6.18 finds no ports: then the hash of a tagged frame is ours.
	for i, want := range []xrx.Meta{
		{Kind: 1, Hash: got[0].Hash, Flags: umem.HashHW | umem.HashL4, L3: 4, L3Off: 14, L4Off: 34, L4Proto: 17},
		{Kind: 1, Hash: got[0].Hash, Flags: umem.HashHW | umem.HashL4, L3: 4, L3Off: 14, L4Off: 34, L4Proto: 17},
		{Kind: 1, Hash: got[2].Hash, Flags: got[2].Flags&umem.HashHW | umem.HashL4 | umem.VLANInBand, VLANTCI: 0x2005, L3: 4, L3Off: 18, L4Off: 38, L4Proto: 17},
		{Kind: 1, Hash: got[3].Hash}, // the device has no layer 4 hash for it, so it is ours
	} {
		if got[i] != want || got[i].Hash == 0 {
			t.Errorf("frame %d: metadata\n%+v, want\n%+v and a hash", i, got[i], want)
		}
	}
	software := metasOf(t, n, reopen(t, n, r, &xrx.Config{}), list[:1])[0]
	if software.Hash == got[0].Hash {
		t.Errorf("hash %08x both from the device and from the program", software.Hash)
	}
}

// reopen closes a receiver and opens another in its place.
func reopen(t *testing.T, n *testnet.Net, r *xrx.Receiver, cfg *xrx.Config) *xrx.Receiver {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, n, cfg)
}

func TestHardwareMetadataInGenericModeIsRefusedWithAReasonAndSoftwareMetadataArrives(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{})
	r := open(t, n, &xrx.Config{HWMeta: true, Attach: bpf.Generic})
	m := r.Mode()
	if m.HWMeta || m.Attach != "skb" {
		t.Errorf("mode %+v", m)
	}
	if said := slices.Concat([]string{m.Reason}, m.Notes); !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "hardware metadata") }) {
		t.Errorf("nothing in %q says why there is no hardware metadata", said)
	}
	f := frames.UDP(addrPort(n.A.IP4, 7), addrPort(n.B.IP4, 9), []byte("payload of a packet"))
	f.SrcMAC, f.DstMAC = n.A.MAC, n.B.MAC
	got := metasOf(t, n, r, [][]byte{f.Append(nil)})[0]
	if want := (xrx.Meta{Kind: 1, Hash: got.Hash, Flags: umem.HashL4, L3: 4, L3Off: 14, L4Off: 34, L4Proto: 17}); got != want || got.Hash == 0 {
		t.Errorf("metadata\n%+v, want\n%+v and a hash", got, want)
	}
}
