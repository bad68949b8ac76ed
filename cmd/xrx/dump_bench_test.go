package main

import (
	"io"
	"testing"
	"time"

	"xrx"
	"xrx/gro"
	"xrx/internal/backlog"
	"xrx/internal/capture"
	"xrx/umem"
)

// benchPacket is a delivered packet of one frame with a verified checksum.
func benchPacket(b *testing.B, size int) replayed {
	r, err := newReplayer(&xrx.Config{Frames: 64, ChunkSize: 2048, Budget: 64, GRO: &gro.Config{}}, backlog.Keep{})
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
		keep backlog.Keep
		size int
	}{{"headers of 64 B", backlog.Keep{}, 64}, {"headers of 1514 B", backlog.Keep{}, 1514}, {"whole, 64 B", backlog.Keep{Whole: true}, 64}, {"whole, 1514 B", backlog.Keep{Whole: true}, 1514}} {
		b.Run(c.name, func(b *testing.B) {
			p, full, split := benchPacket(b, c.size), backlog.NewBatch(1<<20), xrx.Splitter{}
			b.ReportAllocs()
			for b.Loop() {
				if !backlog.Add(full, c.keep, &split, p, backlog.Record{At: 1, Hash: 2, Queue: 3}, 0) {
					full.Reset()
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
			p, one, split := benchPacket(b, 64), backlog.NewBatch(1<<20), xrx.Splitter{}
			backlog.Add(one, backlog.Keep{Whole: true}, &split, p, backlog.Record{At: 1, Hash: 2, Queue: 3}, 0)
			out := newDumpOutput(io.Discard, &c.o, func() {})
			if c.o.write != "" {
				w, err := capture.Stream(io.Discard, capture.Info{}, time.Time{}, nil)
				if err != nil {
					b.Fatal(err)
				}
				out.pcap = w
			}
			b.ReportAllocs()
			for b.Loop() {
				out.Show(one, &one.Records[0])
			}
			if out.err != nil {
				b.Fatal(out.err)
			}
		})
	}
}
