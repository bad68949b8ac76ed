package csum

import (
	"fmt"
	"testing"
)

// BenchmarkSum: "hot" sums one frame again and again (L1), "cycled" walks 64
// frames 2048 bytes apart, 34 bytes in (the L4 header of an IPv4 frame in an
// aligned chunk), which come from L2.
func BenchmarkSum(b *testing.B) {
	const frames, stride, at = 64, 2048, 34
	for _, k := range kernels() {
		for _, n := range []int{20, 40, 64, 96, 128, 192, 256, 512, 1200, 1448, 1460, 9000, 65535} {
			hot := bytesOf(9, n+at)[at:]
			b.Run(fmt.Sprintf("%s/%d/hot", k.name, n), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					sink = k.sum(hot)
				}
			})
			if n > stride-at {
				continue
			}
			buf := bytesOf(10, frames*stride)
			b.Run(fmt.Sprintf("%s/%d/cycled", k.name, n), func(b *testing.B) {
				b.SetBytes(int64(n))
				i := 0
				for b.Loop() {
					sink = k.sum(buf[i*stride+at:][:n])
					i = (i + 1) % frames
				}
			})
		}
	}
}
