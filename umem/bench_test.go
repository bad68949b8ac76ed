package umem

import (
	"fmt"
	"runtime"
	"testing"
)

// BenchmarkFrameLife is the whole life of a frame on its own goroutine, batches of 64: fill, receive, deliver,
// release. ns/op is per frame.
func BenchmarkFrameLife(b *testing.B) {
	for _, c := range []Config{{Frames: 4096}, {Frames: 4096, ChunkSize: 4096}, {Frames: 4096, ChunkSize: 3000, Unaligned: true}} {
		b.Run(fmt.Sprintf("chunk=%d", max(c.ChunkSize, 2048)), func(b *testing.B) {
			_, ps := region(b, c, 1)
			p := ps[0]
			var slots [64]uint64
			b.ReportAllocs()
			for n := 0; n < b.N; n += len(slots) {
				p.Fill(slots[:])
				for _, s := range slots {
					h, _ := p.Receive(descriptor(p.u, s), 60)
					p.Deliver(h)
					p.ReleaseLocal(h, h.Gen())
				}
			}
		})
	}
}

// BenchmarkFrameLifeCold keeps 2048 frames with the kernel, as a fill ring does: every header has left the first
// level cache when its turn comes.
func BenchmarkFrameLifeCold(b *testing.B) {
	p := onePool(b, 4096)
	ring := make([]uint64, 2048)
	p.Fill(ring)
	b.ReportAllocs()
	b.ResetTimer()
	for n, i := 0, 0; n < b.N; n, i = n+64, (i+64)%len(ring) {
		slots := ring[i : i+64]
		for _, s := range slots {
			h, _ := p.Receive(descriptor(p.u, s), 60)
			p.Deliver(h)
			p.ReleaseLocal(h, h.Gen())
		}
		p.Fill(slots)
	}
}

// BenchmarkRemoteRelease is a frame released by another goroutine: the return queue, and Reclaim at home.
func BenchmarkRemoteRelease(b *testing.B) {
	p := onePool(b, 4096)
	type handle struct {
		h   *Header
		gen uint32
	}
	work := make(chan []handle, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for batch := range work {
			for _, w := range batch {
				p.Release(w.h, w.gen)
			}
		}
	}()
	batches := [32][]handle{}
	for i := range batches {
		batches[i] = make([]handle, 64)
	}
	var slots [64]uint64
	b.ReportAllocs()
	b.ResetTimer()
	for n, i := 0, 0; n < b.N; n, i = n+64, (i+1)%len(batches) {
		for p.In(Free) < 64 {
			if p.Reclaim() == 0 {
				runtime.Gosched()
			}
		}
		p.Fill(slots[:])
		for k, s := range slots {
			h, _ := p.Receive(descriptor(p.u, s), 60)
			p.Deliver(h)
			batches[i][k] = handle{h, h.Gen()}
		}
		work <- batches[i]
	}
	close(work)
	<-done
}

// BenchmarkReturnQueue is BenchmarkFrameLife with Release and Reclaim in place of ReleaseLocal, nobody contending: the
// difference is the price of the return queue.
func BenchmarkReturnQueue(b *testing.B) {
	p := onePool(b, 4096)
	var slots [64]uint64
	b.ReportAllocs()
	for n := 0; n < b.N; n += len(slots) {
		p.Fill(slots[:])
		for _, s := range slots {
			h, _ := p.Receive(descriptor(p.u, s), 60)
			p.Deliver(h)
			p.Release(h, h.Gen())
		}
		p.Reclaim()
	}
}

// BenchmarkAudit walks 4096 frames; ns/op is for all of them.
func BenchmarkAudit(b *testing.B) {
	p := onePool(b, 4096)
	for b.Loop() {
		if p.Audit().Lost != 0 {
			b.Fatal("lost")
		}
	}
}
