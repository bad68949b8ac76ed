package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"xrx"
	"xrx/gro"
	"xrx/internal/capture"
	"xrx/internal/frames"
	"xrx/umem"
)

// mergedPacket is what a burst of wire packets is merged into.
func mergedPacket(t *testing.T, burst []stamped) replayed {
	t.Helper()
	r, err := newReplayer(&xrx.Config{Frames: 256, ChunkSize: 2048, Budget: 64, GRO: &gro.Config{}}, keep{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range burst {
		h, err := r.load(p.b)
		if err != nil {
			t.Fatal(err)
		}
		r.burst = append(r.burst, h)
	}
	r.engine.Receive(r.burst)
	r.engine.EndPoll(0, false)
	h := r.engine.Out()[0]
	if len(r.engine.Out()) != 1 {
		t.Fatalf("%d packets came out", len(r.engine.Out()))
	}
	r.pool.Deliver(h)
	t.Cleanup(func() {
		r.pool.ReleaseLocal(h, h.Gen())
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	return replayed{r.mem, h}
}

func TestOnlyWhatOutputNeedsIsCopied(t *testing.T) {
	burst := stream(tcp4(), 10, 1000, 0)
	p := mergedPacket(t, burst)
	whole := slices.Concat(slices.Collect(p.Segments())...)
	for _, c := range []struct {
		name string
		keep keep
		csum umem.Csum
		want int
		wire int
	}{
		{"headers where the checksum is known", keep{}, umem.CsumFinished, headBytes, 0},
		{"all where it must be computed", keep{}, umem.CsumUnknown, len(whole), 0},
		{"all for a file", keep{whole: true}, umem.CsumFinished, len(whole), 0},
		{"wire packets for a file of them", keep{wire: true}, umem.CsumFinished, headBytes, 10},
	} {
		b, split := batch{room: 1 << 20}, xrx.Splitter{}
		p.h.Csum = c.csum
		if !add(&b, c.keep, &split, p, record{at: 5}, 0) {
			t.Fatalf("%s: no room", c.name)
		}
		r := b.records[0]
		if got := b.bytes[r.data.from:r.data.to]; !bytes.Equal(got, whole[:c.want]) || r.length != len(whole) || r.merged != (capture.Merged{Segs: 10, GSOSize: 1000}) {
			t.Errorf("%s: %d bytes, %+v", c.name, len(got), r)
		}
		at := r.data.to
		if len(b.lengths) != c.wire {
			t.Errorf("%s: %d wire packets", c.name, len(b.lengths))
		}
		for i, n := range b.lengths {
			if !bytes.Equal(b.bytes[at:at+n], burst[i].b) {
				t.Errorf("%s: wire packet %d differs", c.name, i)
			}
			at += n
		}
	}
}

func TestCopyingAPacketAllocatesNothing(t *testing.T) {
	p := mergedPacket(t, stream(tcp4(), 1, 1000, 0))
	b, split := batch{room: 1 << 20}, xrx.Splitter{}
	for add(&b, keep{whole: true}, &split, p, record{}, 0) { // the batch grows to its room once
	}
	if n := testing.AllocsPerRun(1000, func() {
		if !add(&b, keep{whole: true}, &split, p, record{}, 0) {
			b.reset()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestABatchTakesNoMoreThanItsRoom(t *testing.T) {
	p := mergedPacket(t, stream(tcp4(), 10, 1000, 0))
	for _, k := range []keep{{}, {whole: true}, {wire: true}} {
		b, split := batch{room: 64 << 10}, xrx.Splitter{}
		n := 0
		for add(&b, k, &split, p, record{}, 0x81000007) {
			n++
		}
		if used := len(b.bytes) + n*recordCost + len(b.lengths)*8; n == 0 || n != len(b.records) || used > b.room {
			t.Errorf("%+v: %d packets in %d of %d bytes", k, n, used, b.room)
		}
	}
}

func TestATagThatTheDeviceTookOutIsPutBack(t *testing.T) {
	for _, c := range []struct {
		meta xrx.Meta
		tpid uint16
	}{
		{xrx.Meta{VLANTCI: 0x2007, Flags: umem.VLANHW}, 0x8100},
		{xrx.Meta{VLANTCI: 0x2007, Flags: umem.VLANHW | umem.VLANAD}, 0x88a8},
		{xrx.Meta{VLANTCI: 0x2007, Flags: umem.VLANInBand}, 0},
	} {
		var want [][]byte
		for _, w := range taggedStream(c.tpid) {
			want = append(want, w.b)
		}
		p := mergedPacket(t, stream(tcp4(), 3, 100, 0))
		b, split := batch{room: 1 << 20}, xrx.Splitter{}
		add(&b, keep{whole: true, wire: true}, &split, p, record{}, strippedTag(c.meta))
		r, at := b.records[0], b.records[0].data.to
		if r.length != r.data.to-r.data.from || r.length != len(want[0])+200 {
			t.Errorf("%+v: %d bytes, length %d", c.meta, r.data.to-r.data.from, r.length)
		}
		for i, n := range b.lengths {
			if !bytes.Equal(b.bytes[at:at+n], want[i]) {
				t.Errorf("%+v: wire packet %d is %x, want %x", c.meta, i, b.bytes[at:at+n], want[i])
			}
			at += n
		}
	}
}

// taggedStream is three segments with a tag of this type, or none.
func taggedStream(tpid uint16) []stamped {
	f := tcp4()
	if tpid != 0 {
		f.VLANs = []frames.VLAN{{TPID: tpid, TCI: 0x2007}}
	}
	return stream(f, 3, 100, 0)
}

func TestPacketsOfSeveralQueuesAreShownInTheOrderOfTime(t *testing.T) {
	p := mergedPacket(t, stream(tcp4(), 1, 10, 0))
	var text bytes.Buffer
	l := newLanes(newDumpOutput(&text, &dumpOptions{json: true}, func() {}), keep{}, 1<<20)
	for queue, times := range [][]int64{{1, 4, 6}, {2, 3, 7}, {5}} {
		ln := l.lane(queue)
		ln.mu.Lock() // what take does
		for _, at := range times {
			add(ln.filling, l.keep, &ln.split, p, record{at: at, queue: queue}, 0)
		}
		ln.mu.Unlock()
	}
	l.finish()
	var order []string
	for _, r := range dumpRows(t, text.String()) {
		order = append(order, strings.TrimPrefix(string(r.TS), "0.00000000"))
	}
	if !slices.Equal(order, []string{"1", "2", "3", "4", "5", "6", "7"}) {
		t.Errorf("order %v", order)
	}
}
