package gro

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"xrx/umem"
)

func TestAMergedPacketIsAtMost65535BytesLong(t *testing.T) {
	for _, c := range []struct {
		name      string
		base      spec
		size, max int // payload per packet, packets in the first merged one
	}{
		{"L1: v4 takes 45 of 1448", spec{}, 1448, 45},
		{"L1: v4 takes 65495 bytes of payload", spec{}, 1235, 53}, // 53*1235 == 65455; 65455+40 = 65495
		{"L1: v6 takes 45 of 1440", spec{v6: true}, 1440, 45},
		{"L1: in a VLAN the tag counts, as in the kernel's skb", spec{vlan: []uint32{0x8100<<16 | 5}}, 1310, 49}, // 50*1310+44 = 65544
		{"L1: exactly 65535 is allowed", spec{}, 1427, 45},                                                       // see below
		{"L1: in a tunnel the outer header counts", spec{outer: &spec{}}, 1091, 60},                              // 60*1091+60 = 65520
	} {
		r := newRig(t, Config{}, umem.Config{})
		in := stream(c.base, 64, c.size)
		r.recv(in...)
		r.poll()
		g := r.take()
		if len(g) != 2 || g[0].segs != c.max || len(g[0].b)-14 > 65535 || len(g[0].b)-14+c.size <= 65535 {
			t.Errorf("%s: %v, %d bytes", c.name, counts(g), len(g[0].b)-14)
		}
		if r.e.Stats().Flush[Size] != 1 {
			t.Errorf("%s: %v", c.name, named(r.e.Stats().Flush))
		}
	}
}

func TestTheLimitIsMetToTheByte(t *testing.T) {
	for _, c := range []struct {
		last int
		want []int
	}{{1415 - 0, []int{46}}, {1416, []int{45, 1}}} { // 40 + 45*1424 = 64120; + 1415 = 65535
		r := newRig(t, Config{}, umem.Config{})
		in := stream(spec{}, 45, 1424)
		s := spec{seq: 45 * 1424, id: 45, payload: make([]byte, c.last)}
		r.recv(append(in, s.build())...)
		r.poll()
		if g := r.take(); len(g) != len(c.want) || g[0].segs != c.want[0] {
			t.Errorf("L1: a last packet of %d: %v, want %v", c.last, counts(g), c.want)
		}
	}
}

func TestTheOldestFlowMakesRoomForANewOne(t *testing.T) {
	for _, flows := range []int{1, 2, 8} { // L4
		r := newRig(t, Config{Flows: flows}, umem.Config{})
		var in [][]byte
		for f := range flows + 1 {
			in = append(in, stream(spec{saddr: uint16(f)}, 1, 100)...)
		}
		r.recv(in...)
		if g := r.take(); len(g) != 1 || !bytes.Equal(g[0].b, in[0]) || r.e.Stats().Flush[Evicted] != 1 {
			t.Errorf("L4: %d flows: %v %v", flows, counts(g), named(r.e.Stats().Flush))
		}
		// The order is that of holding, not of merging: flow 1 is next although it was just merged into.
		if flows > 1 {
			next := stream(spec{saddr: 1}, 2, 100)[1]
			r.recv(next, stream(spec{saddr: 99}, 1, 100)[0])
			if g := r.take(); len(g) != 1 || g[0].segs != 2 || !bytes.Equal(g[0].wire[0], in[1]) {
				t.Errorf("L4: not the oldest was evicted: %v", counts(g))
			}
		}
	}
}

func TestFlowsThatAllMeetInOneBucketDoNotSlowTheEngineDown(t *testing.T) {
	r := newRig(t, Config{}, umem.Config{})
	for i := range 250 { // L4: nothing differs but an Ethernet address
		r.recv(spec{src: byte(i), payload: []byte("x")}.build())
		n := 0
		for _, head := range r.e.heads {
			m := 0
			for ; head != 0; head = r.e.ents[head].next {
				m++
			}
			n = max(n, m)
		}
		if n > bucketMost {
			t.Fatalf("%d packets in a bucket", n)
		}
	}
	if n := r.e.Stats().Flush[Evicted]; n != 250-bucketMost {
		t.Errorf("%d evicted", n)
	}
	r.poll() // or one of those that follow, by chance, meets the full bucket
	r.take()
	for i := range 80 { // labels, tunnels and inner tags are hashed
		r.recv(spec{v6: true, label: uint32(i), payload: []byte("x")}.build(),
			spec{outer: &spec{saddr: uint16(i)}, payload: []byte("x")}.build(),
			spec{vlan: []uint32{0x88a8<<16 | 1, 0x8100<<16 | uint32(i)}, payload: []byte("x")}.build())
	}
	if n := r.e.Stats().Flush[Evicted]; n != 250-bucketMost {
		t.Errorf("%d evicted although they have buckets of their own", n)
	}
}

func TestManyInterleavedFlowsAllCoalesce(t *testing.T) {
	for _, flows := range []int{9, 64, 1000} {
		r := newRig(t, Config{Frames: 4096}, umem.Config{Frames: 4096})
		var streams [][][]byte
		for f := range flows {
			streams = append(streams, stream(spec{saddr: uint16(f)}, 3, 60))
		}
		for i := range 3 {
			for f := range flows {
				r.recv(streams[f][i])
			}
		}
		r.poll()
		g := r.take()
		for _, x := range g {
			if x.segs != 3 {
				t.Fatalf("L4: %d flows: %v", flows, counts(g))
			}
		}
		if len(g) != flows {
			t.Errorf("L4: %d flows made %d packets", flows, len(g))
		}
	}
}

func TestGROHoldsNoMoreFramesThanItMay(t *testing.T) {
	r := newRig(t, Config{Frames: 10, Flush: time.Hour}, umem.Config{})
	for f := range 30 {
		r.recv(stream(spec{saddr: uint16(f)}, 2, 60)...)
		r.e.EndPoll(int64(f), false)
		if r.deliver(); r.p.Counts().Held > 10 {
			t.Fatalf("L3: %v", r.p.Counts())
		}
	}
	if n := r.e.Stats().Flush[Frames]; n == 0 {
		t.Error("L3: nothing was completed for its frames")
	}
}

func TestSettingsLimitAPacket(t *testing.T) {
	runCases(t, []ruleCase{
		{rule: "L1", name: "the setting for the size", cfg: Config{MaxSize: 340}, pkts: seq(5, v4), want: "0+1+2|3+4", flush: Size},
		{rule: "U8", name: "the setting for segments", cfg: Config{MaxSegs: 2}, pkts: seq(5, v4), want: "0+1 2+3|4", flush: Count},
		{rule: "L6", name: "more headers than a byte counts", pkts: []spec{{v6: true, extType: 60, ext: append([]byte{6, 31}, make([]byte, 254)...)}}, want: "0|", normal: LongHeaders},
	})
	p := newRig(t, Config{}, smallPool).p
	for _, c := range []Config{{Flows: -1}, {Flows: 1<<20 + 1}, {Flush: -1}, {MaxSize: 65536}, {MaxSegs: -1}, {MTU: -1}, {Profile: 9}, {Verify: 9}, {List: 9}, {Frames: -1}, {UDPPorts: []uint16{0}}} {
		if _, err := New(p, c); err == nil {
			t.Errorf("accepted: %+v", c)
		}
	}
	if _, err := New(nil, Config{}); err == nil {
		t.Error("no pool accepted")
	}
}

func TestFlushRules(t *testing.T) {
	t.Run("X1 without a hold timer the end of a poll completes everything", func(t *testing.T) {
		r := newRig(t, Config{}, umem.Config{})
		for f := range 40 {
			r.recv(stream(spec{saddr: uint16(f)}, 1, 60)...)
		}
		if ns, ok := r.e.NextDeadline(); !ok || ns > 0 {
			t.Error("held packets that wait for the end of the poll are due now")
		}
		r.poll()
		if g := r.take(); len(g) != 40 || r.e.Stats().Flush[PollEnd] != 40 {
			t.Error(counts(g))
		}
		if _, ok := r.e.NextDeadline(); ok {
			t.Error("a deadline with nothing held")
		}
	})
	t.Run("X4 a full budget is counted apart", func(t *testing.T) {
		r := newRig(t, Config{}, umem.Config{})
		r.recv(stream(v4, 2, 60)...)
		r.e.EndPoll(0, true)
		r.deliver()
		if r.e.Stats().Flush[Budget] != 1 || len(r.take()) != 1 {
			t.Error(named(r.e.Stats().Flush))
		}
	})
	t.Run("X1 X2 with a hold timer what is due drains, all of it, oldest first, and nothing else", func(t *testing.T) {
		r := newRig(t, Config{Flush: 200}, umem.Config{})
		for now := int64(1000); now < 1300; now += 100 {
			for f := range 5 {
				r.recv(stream(spec{saddr: uint16(now) + uint16(f)}, 1, 60)...)
			}
			if ns, ok := r.e.NextDeadline(); !ok || now == 1000 && ns > 0 || now > 1000 && ns != 1200 {
				t.Fatalf("deadline %d %v at %d", ns, ok, now)
			}
			r.e.EndPoll(now, now%200 == 0)
			r.deliver()
			if now < 1200 && len(r.out) != 0 {
				t.Fatalf("%d packets at %d", len(r.out), now)
			}
		}
		if g := r.take(); len(g) != 5 || r.e.Stats().Flush[HoldTimer] != 5 {
			t.Fatalf("at 1200: %v", counts(g))
		}
		if ns, ok := r.e.NextDeadline(); !ok || ns != 1300 {
			t.Fatalf("next deadline %d", ns)
		}
		r.e.EndPoll(1299, false)
		if len(r.e.Out()) != 0 {
			t.Fatal("early")
		}
		r.e.EndPoll(1400, false)
		r.deliver()
		if g := r.take(); len(g) != 10 {
			t.Fatalf("at 1400: %v", counts(g))
		}
	})
	t.Run("X1 merging does not make a packet younger", func(t *testing.T) {
		r := newRig(t, Config{Flush: 200}, umem.Config{})
		in := stream(v4, 4, 60)
		for i, b := range in {
			r.recv(b)
			r.e.EndPoll(1000+100*int64(i), false)
			r.deliver()
		}
		r.e.FlushAll()
		r.deliver()
		if g := r.take(); len(g) != 2 || g[0].segs != 3 || g[1].segs != 1 {
			t.Error(counts(g))
		}
		if r.e.Stats().Flush[Flushed] != 1 {
			t.Error(named(r.e.Stats().Flush))
		}
	})
	t.Run("X6 normal and completed packets keep their order", func(t *testing.T) {
		a, b := stream(spec{saddr: 1}, 2, 60), stream(spec{saddr: 2}, 3, 60)
		icmp := spec{raw: 1, payload: make([]byte, 40)}.build()
		ack := spec{saddr: 1, flags: fACK, seq: 120}.build()
		res, _, _ := run(t, Config{}, [][]byte{a[0], b[0], icmp, a[1], b[1], ack, b[2]})
		if res != "2 0+3 5|1+4+6" {
			t.Error(res)
		}
	})
}

func TestPacketsInSeveralBuffers(t *testing.T) {
	for _, s := range []spec{v4, v6, udp4, {opt: []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}}} {
		for _, size := range []int{1000, 1001} {
			for _, cut := range []int{400, 401, 97} {
				r := newRig(t, quic, umem.Config{})
				in := stream(s, 6, size)
				var hs []*umem.Header
				for _, b := range in {
					hs = append(hs, r.cut(b, cut))
				}
				r.give(hs...)
				r.poll()
				g := r.take()
				if len(g) != 1 || g[0].segs != 6 || g[0].csum != umem.CsumFinished {
					t.Fatalf("cut at %d: %v %v", cut, counts(g), named(r.e.Stats().Normal))
				}
				for i := range in {
					if !bytes.Equal(in[i], g[0].wire[i]) {
						t.Fatalf("cut at %d: packet %d differs", cut, i)
					}
				}
			}
		}
	}
	r := newRig(t, Config{}, umem.Config{})
	for cut := 1; cut < 54; cut++ { // F6: headers in two buffers
		r.give(r.cut(stream(v4, 1, 100)[0], cut))
	}
	if g := r.take(); len(g) != 53 {
		t.Errorf("F6: %v", counts(g))
	}
	if n := r.e.Stats().Normal; n[SplitHeaders] != 53 {
		t.Errorf("F6: %v", named(n))
	}
	list := newRig(t, Config{UDPPorts: []uint16{4433}, List: ListUDP}, umem.Config{})
	in := stream(udp4, 4, 900)
	list.give(list.cut(in[0], 300), list.frame(in[1]), list.cut(in[2], 301), list.frame(in[3]))
	list.poll()
	if g := list.take(); len(g) != 1 || !g[0].list || !bytes.Equal(bytes.Join(g[0].wire, nil), bytes.Join(in, nil)) {
		t.Errorf("5b: %v", counts(g))
	}
}

func TestATagThatTheDeviceStrippedIsPartOfTheFlow(t *testing.T) {
	// F2: metadata kind 1 in front of the packet: hash, tci, flags, l3, l3_off, l4_off, proto, tag.
	meta := func(r *rig, h *umem.Header, tci uint16, flags umem.MetaFlags) {
		m := h.Before(12)
		clear(m)
		binary.NativeEndian.PutUint16(m[4:], tci)
		m[6], m[11] = byte(flags), 0x13
	}
	type tag struct {
		tci   uint16
		flags umem.MetaFlags
	}
	for _, c := range []struct {
		name string
		tags []tag
		want []int
	}{
		{"equal tags merge", []tag{{5, umem.VLANHW}, {5, umem.VLANHW}, {5, umem.VLANHW}}, []int{3}},
		{"another TCI is another flow", []tag{{5, umem.VLANHW}, {6, umem.VLANHW}, {7, umem.VLANHW}}, []int{1, 1, 1}},
		{"TCI 0 is not no tag", []tag{{0, umem.VLANHW}, {0, 0}, {0, umem.VLANHW}}, []int{1, 1, 1}},
		{"another protocol is another flow", []tag{{5, umem.VLANHW}, {5, umem.VLANHW | umem.VLANAD}, {5, 0}}, []int{1, 1, 1}},
		{"other metadata does not matter", []tag{{5, 0}, {6, umem.HashL4}, {7, umem.HashSym}}, []int{3}},
	} {
		r := newRig(t, Config{}, umem.Config{})
		var hs []*umem.Header
		for i, b := range stream(v4, 3, 100) {
			h := r.frame(b)
			meta(r, h, c.tags[i].tci, c.tags[i].flags)
			hs = append(hs, h)
		}
		r.give(hs...)
		r.poll()
		if g := r.take(); len(g) != len(c.want) || g[0].segs != c.want[0] {
			t.Errorf("F2: %s: %v", c.name, counts(g))
		}
	}
}
