package xrx_test

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/bpf"
	"xrx/internal/testnet"
	"xrx/umem"
)

// The main claim: what is sent is what is delivered, once each, in order, byte by byte, where it should be, with
// metadata that describes it, and no frame is lost track of.
func TestAMillionFramesOfMixedSizesArriveOnceInOrderAndUnchanged(t *testing.T) {
	testnet.Require(t, "root", "veth")
	total := uint64(1_000_000)
	if testing.Short() {
		total = 50_000
	}
	for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			n := testnet.New(t, testnet.Options{})
			r := open(t, n, &xrx.Config{Attach: mode})
			want, next, faults := newFrameMaker(n, 16), uint64(0), 0
			var arrived atomic.Uint64
			hashes := map[uint32]uint16{} // flow hash -> source port and kind of packet
			fail := func(format string, args ...any) {
				if faults++; faults < 10 {
					t.Errorf(format, args...)
				}
			}
			buf := make([]byte, 0, 2048)
			x := run(t, r, xrx.Handler(func(p xrx.Packet) {
				frame, meta := want.frame(buf, next)
				got := p.Meta()
				switch {
				case !bytes.Equal(p.Data(), frame):
					fail("frame %d: bytes differ (%d received, %d sent; sequence says %d)", next, p.Len(), len(frame), sequence(p.Data(), got))
				case p.Offset() != umem.DefaultHeadroom+256:
					fail("frame %d: at offset %d of its chunk", next, p.Offset())
				case got.Hash == 0:
					fail("frame %d: no flow hash", next)
				case p.Queue() != 0 || p.Count() != 1 || p.GSOSize() != 0 || p.IsChain():
					fail("frame %d: queue %d count %d gso %d", next, p.Queue(), p.Count(), p.GSOSize())
				}
				flow := want.f.SrcPort<<2 | uint16(meta.L3&2) | uint16(meta.L4Proto&1)
				if old, ok := hashes[got.Hash]; ok && old != flow {
					fail("frame %d: hash %08x of two flows", next, got.Hash)
				}
				hashes[got.Hash] = flow
				if meta.Hash = got.Hash; got != meta {
					fail("frame %d: metadata %+v, want %+v", next, got, meta)
				}
				next++
				arrived.Store(next)
			}))
			newFrameMaker(n, 16).send(t, sender(t, n), 0, total, arrived.Load)
			eventually(t, 5*time.Second, "all frames are delivered", func() bool { return r.Snapshot().Queues[0].OutPackets >= total })
			if err := x.end(); err != nil {
				t.Fatal(err)
			}
			q := r.Snapshot().Queues[0]
			if next != total || q.Packets != total {
				t.Errorf("%d delivered, %d received, %d sent", next, q.Packets, total)
			}
			if q.Kernel.Lost() != 0 || q.Kernel.RxInvalidDescs != 0 || len(q.Drops) != 0 {
				t.Errorf("kernel %+v, drops %v", q.Kernel, q.Drops)
			}
			t.Logf("%s: %d frames, %d flows, %.1f a poll, %v", r.Mode(), next, len(hashes), float64(q.Packets)/float64(q.Polls), q.Ledger)
		})
	}
}
