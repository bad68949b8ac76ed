package backlog

import (
	"os"
	"testing"
	"time"

	"xrx"
	"xrx/gro"
	"xrx/internal/capture"
	"xrx/internal/testpackets"
)

// BenchmarkPcapng is what a capture costs per packet: the copy on the queue's goroutine, the block on the writing one.
func BenchmarkPcapng(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"64 B", 10}, {"1514 B", 1460}} {
		p := testpackets.Receive(b, gro.Config{}, stream(1, c.size, 0)...)[0]
		b.Run("copy/"+c.name, func(b *testing.B) {
			full, split := NewBatch(1<<20), xrx.Splitter{}
			b.ReportAllocs()
			for b.Loop() {
				if !Add(full, Keep{Whole: true}, &split, p, Record{At: 1}, 0) {
					full.Reset()
				}
			}
		})
		b.Run("write/"+c.name, func(b *testing.B) {
			one, split := NewBatch(1<<20), xrx.Splitter{}
			Add(one, Keep{Whole: true}, &split, p, Record{At: 1}, 0)
			f, err := capture.CreateFiles(os.DevNull, capture.Info{}, capture.Rotation{}, time.Now(), nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := one.WriteTo(f, &one.Records[0]); err != nil {
					b.Fatal(err)
				}
			}
			if err := f.Close(time.Now()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
