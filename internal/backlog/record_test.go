package backlog

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"xrx"
	"xrx/gro"
	"xrx/internal/capture"
	"xrx/internal/frames"
	"xrx/internal/testpackets"
	"xrx/umem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stream is so many TCP segments, each of size bytes of payload, with a tag of this type or none.
func stream(count, size int, tpid uint16) (list [][]byte) {
	f := frames.TCP(netip.MustParseAddrPort("10.0.0.1:4000"), netip.MustParseAddrPort("10.0.0.2:5201"), 1000, nil)
	if tpid != 0 {
		f.VLANs = []frames.VLAN{{TPID: tpid, TCI: 0x2007}}
	}
	for i := range count {
		f.Payload = bytes.Repeat([]byte{byte(i)}, size)
		list = append(list, f.Append(nil))
		f.Seq += uint32(size)
		f.ID++
	}
	return list
}

// mergedPacket is what a burst of wire packets is merged into.
func mergedPacket(t *testing.T, burst [][]byte) testpackets.Packet {
	t.Helper()
	out := testpackets.Receive(t, gro.Config{}, burst...)
	if len(out) != 1 {
		t.Fatalf("%d packets came out", len(out))
	}
	return out[0]
}

func TestOnlyWhatOutputNeedsIsCopied(t *testing.T) {
	burst := stream(10, 1000, 0)
	p := mergedPacket(t, burst)
	whole := slices.Concat(slices.Collect(p.Segments())...)
	for _, c := range []struct {
		name string
		keep Keep
		csum umem.Csum
		want int
		wire int
	}{
		{"headers where the checksum is known", Keep{}, umem.CsumFinished, HeadBytes, 0},
		{"all where it must be computed", Keep{}, umem.CsumUnknown, len(whole), 0},
		{"all for a file", Keep{Whole: true}, umem.CsumFinished, len(whole), 0},
		{"wire packets for a file of them", Keep{Wire: true}, umem.CsumFinished, HeadBytes, 10},
	} {
		b, split := Batch{room: 1 << 20}, xrx.Splitter{}
		p.SetChecksum(c.csum)
		if !Add(&b, c.keep, &split, p, Record{At: 5}, 0) {
			t.Fatalf("%s: no room", c.name)
		}
		r := b.Records[0]
		if got := b.bytes[r.data.from:r.data.to]; !bytes.Equal(got, whole[:c.want]) || r.Length != len(whole) || r.Merged != (capture.Merged{Segs: 10, GSOSize: 1000}) {
			t.Errorf("%s: %d bytes, %+v", c.name, len(got), r)
		}
		at := r.data.to
		if len(b.lengths) != c.wire {
			t.Errorf("%s: %d wire packets", c.name, len(b.lengths))
		}
		for i, n := range b.lengths {
			if !bytes.Equal(b.bytes[at:at+n], burst[i]) {
				t.Errorf("%s: wire packet %d differs", c.name, i)
			}
			at += n
		}
	}
}

func TestCopyingAPacketAllocatesNothing(t *testing.T) {
	p := mergedPacket(t, stream(1, 1000, 0))
	b, split := Batch{room: 1 << 20}, xrx.Splitter{}
	for Add(&b, Keep{Whole: true}, &split, p, Record{}, 0) { // the batch grows to its room once
	}
	if n := testing.AllocsPerRun(1000, func() {
		if !Add(&b, Keep{Whole: true}, &split, p, Record{}, 0) {
			b.Reset()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestABatchTakesNoMoreThanItsRoom(t *testing.T) {
	p := mergedPacket(t, stream(10, 1000, 0))
	for _, k := range []Keep{{}, {Whole: true}, {Wire: true}} {
		b, split := Batch{room: 64 << 10}, xrx.Splitter{}
		n := 0
		for Add(&b, k, &split, p, Record{}, 0x81000007) {
			n++
		}
		if used := len(b.bytes) + n*recordCost + len(b.lengths)*8; n == 0 || n != len(b.Records) || used > b.room {
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
		want := stream(3, 100, c.tpid)
		p := mergedPacket(t, stream(3, 100, 0))
		b, split := Batch{room: 1 << 20}, xrx.Splitter{}
		Add(&b, Keep{Whole: true, Wire: true}, &split, p, Record{}, StrippedTag(c.meta))
		r, at := b.Records[0], b.Records[0].data.to
		if r.Length != r.data.to-r.data.from || r.Length != len(want[0])+200 {
			t.Errorf("%+v: %d bytes, length %d", c.meta, r.data.to-r.data.from, r.Length)
		}
		for i, n := range b.lengths {
			if !bytes.Equal(b.bytes[at:at+n], want[i]) {
				t.Errorf("%+v: wire packet %d is %x, want %x", c.meta, i, b.bytes[at:at+n], want[i])
			}
			at += n
		}
	}
}

// shown notes the times of packets.
type shown struct {
	times   []int64
	flushes int
}

func (s *shown) Show(_ *Batch, r *Record) { s.times = append(s.times, r.At) }
func (s *shown) Flush()                   { s.flushes++ }

func TestPacketsOfSeveralQueuesAreShownInTheOrderOfTime(t *testing.T) {
	p := mergedPacket(t, stream(1, 10, 0))
	var out shown
	l := New(&out, Keep{}, 1<<20)
	for queue, times := range [][]int64{{1, 4, 6}, {2, 3, 7}, {5}} {
		ln := l.lane(queue)
		ln.mu.Lock() // what Copy does
		for _, at := range times {
			Add(ln.filling, l.keep, &ln.split, p, Record{At: at, Queue: queue}, 0)
		}
		ln.mu.Unlock()
	}
	l.Finish()
	if !slices.Equal(out.times, []int64{1, 2, 3, 4, 5, 6, 7}) || out.flushes == 0 {
		t.Errorf("order %v, %d flushes", out.times, out.flushes)
	}
}
