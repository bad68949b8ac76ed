//go:build !purego

package csum

import "golang.org/x/sys/cpu"

// kernels returns every implementation this CPU can run, each with the whole
// range of lengths: outside its own range a vector kernel gives way to Go.
func kernels() []kernel {
	ks := []kernel{{"Sum", Sum}, {"go", sumGo}}
	if cpu.X86.HasAVX2 {
		ks = append(ks, kernel{"avx2", func(b []byte) uint16 {
			if len(b) < 64 {
				return sumGo(b)
			}
			return Fold(sumAVX2(b))
		}})
	}
	if useAVX512 {
		ks = append(ks, kernel{"avx512", func(b []byte) uint16 {
			if len(b) < 65 || len(b) > maxAVX512 {
				return sumGo(b)
			}
			return Fold(sumAVX512(b))
		}})
	}
	return ks
}
