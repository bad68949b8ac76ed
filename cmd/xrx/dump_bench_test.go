package main

import (
	"io"
	"testing"

	"xrx"
	"xrx/gro"
	"xrx/internal/capture"
	"xrx/umem"
)

// benchPacket is a delivered packet of one frame with a verified checksum.
func benchPacket(b *testing.B, size int) replayed {
	r, err := newReplayer(&xrx.Config{Frames: 64, ChunkSize: 2048, Budget: 64, GRO: &gro.Config{}}, keep{})
	if err != nil {
		b.Fatal(err)
	}
	h, err := r.load(stream(udp4(), 1, size-42, 0)[0].b)
	if err != nil {
		b.Fatal(err)
	}
	h.Csum = umem.CsumOK
	r.pool.Deliver(h)
	b.Cleanup(func() {
		r.pool.ReleaseLocal(h, h.Gen())
		if err := r.close(); err != nil {
			b.Error(err)
		}
	})
	return replayed{r.mem, h}
}

// BenchmarkDumpCopy is what dump costs a queue's goroutine per packet, beside the release.
func BenchmarkDumpCopy(b *testing.B) {
	for _, c := range []struct {
		name string
		keep keep
		size int
	}{{"headers of 64 B", keep{}, 64}, {"headers of 1514 B", keep{}, 1514}, {"whole, 64 B", keep{whole: true}, 64}, {"whole, 1514 B", keep{whole: true}, 1514}} {
		b.Run(c.name, func(b *testing.B) {
			p, full, split := benchPacket(b, c.size), batch{room: 1 << 20}, xrx.Splitter{}
			b.ReportAllocs()
			for b.Loop() {
				if !add(&full, c.keep, &split, p, record{at: 1, hash: 2, queue: 3}, 0) {
					full.reset()
				}
			}
		})
	}
}

// BenchmarkDumpShow is what dump costs the writer's goroutine per packet.
func BenchmarkDumpShow(b *testing.B) {
	for _, c := range []struct {
		name string
		o    dumpOptions
	}{{"line", dumpOptions{}}, {"json", dumpOptions{json: true}}, {"pcapng", dumpOptions{write: "-"}}} {
		b.Run(c.name, func(b *testing.B) {
			p, one, split := benchPacket(b, 64), batch{room: 1 << 20}, xrx.Splitter{}
			add(&one, keep{whole: true}, &split, p, record{at: 1, hash: 2, queue: 3}, 0)
			out := newDumpOutput(io.Discard, &c.o, func() {})
			if c.o.write != "" {
				w, err := capture.NewWriter(io.Discard, capture.Info{})
				if err != nil {
					b.Fatal(err)
				}
				out.pcap = w
			}
			b.ReportAllocs()
			for b.Loop() {
				out.show(&one, &one.records[0])
			}
			if out.err != nil {
				b.Fatal(out.err)
			}
		})
	}
}
