// Package frames measures what a frame costs on its way through the hidden header, by how the chunks lie in memory.
package frames

import (
	"fmt"
	"testing"

	"xrx/umem"
)

const (
	batch  = 64
	refill = 512 // a quarter of the ring
)

// BenchmarkCycle sends frames round as a poll loop without GRO does: fill ring, rx descriptor, metadata read, consumer, free set. The
// ring is first in, first out, so a header comes back after as many others as the ring holds. Headers of aligned chunks all lie
// at one offset of a power of two, and share few sets of a cache; those of chunks that are 64 bytes longer lie in all sets.
func BenchmarkCycle(b *testing.B) {
	for _, ring := range []int{256, 512, 1024, 2048, 4096} {
		for _, c := range []umem.Config{
			{ChunkSize: 2048},
			{ChunkSize: 2048, Headroom: 256},
			{ChunkSize: 2048 + 64, Unaligned: true},
			{ChunkSize: 2048 + 128, Unaligned: true},
			{ChunkSize: 4096},
			{ChunkSize: 4096 + 64, Unaligned: true},
		} {
			for _, meta := range []bool{false, true} {
				b.Run(fmt.Sprintf("ring=%d/chunk=%d/headroom=%d/meta=%t", ring, c.ChunkSize, c.Headroom, meta), func(b *testing.B) {
					c.Frames = 2 * ring
					cycle(b, c, ring, meta)
				})
			}
		}
	}
}

func cycle(b *testing.B, c umem.Config, ring int, meta bool) {
	u, err := umem.New(c)
	if err != nil {
		b.Fatal(err)
	}
	pools, err := u.Split(1)
	if err != nil {
		b.Fatal(err)
	}
	p := pools[0]
	posted := make([]uint64, ring)
	if n := p.Fill(posted); n != ring {
		b.Fatalf("%d frames for a ring of %d", n, ring)
	}
	var hs [batch]*umem.Header
	at, free, sum := 0, 0, 0
	threshold := min(refill, ring/4)
	b.ResetTimer()
	for i := 0; i < b.N; i += batch {
		for k := range hs {
			h, f := p.Receive(posted[(at+k)%ring]+uint64(u.PacketOffset()), 64)
			if f != umem.NoFault {
				b.Fatal(f)
			}
			hs[k] = h
		}
		if meta {
			for _, h := range hs {
				sum += int(h.Before(1)[0])
			}
		}
		for _, h := range hs {
			p.Deliver(h)
			p.ReleaseLocal(h, h.Gen())
		}
		at = (at + batch) % ring
		if free += batch; free >= threshold {
			start := (at - free + ring) % ring
			first := min(free, ring-start)
			p.Fill(posted[start : start+first])
			p.Fill(posted[:free-first])
			free = 0
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/packet")
	if sum < 0 {
		b.Fatal("unreachable")
	}
	p.TakeBack()
	if err := u.Close(); err != nil {
		b.Fatal(err)
	}
}
