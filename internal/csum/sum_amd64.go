//go:build !purego

package csum

import "golang.org/x/sys/cpu"

const (
	// minVector is the shortest input, in bytes, for which a call into assembly
	// pays: at 96 bytes it loses 1 ns to Go if all inputs are alike and wins
	// 1.5 ns if their lengths vary. Both kernels need at least 65.
	minVector = 96
	// maxAVX512 is the longest input, in bytes, whose sums fit the 32-bit lanes
	// of sumAVX512: each lane takes up to 2^17 for 4 of every 64 bytes, so that
	// they would last for 2 MiB.
	maxAVX512 = 1 << 20
)

// Set once, before main. sumVector reads useAVX512.
var (
	useVector = cpu.X86.HasAVX2
	// VPDPBUSD is in AVX512_VNNI. AVX512_VBMI2 is asked for only because CPUs
	// that have it (Ice Lake, Zen 4 and later) run 512-bit integer adds without
	// the clock penalty of Skylake-SP and Cascade Lake.
	useAVX512 = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VNNI &&
		cpu.X86.HasAVX512VBMI2 && cpu.X86.HasBMI2 && useVector
)

// sumVector jumps to the best kernel for this machine and length. It returns an
// unfolded sum of b, len(b) >= 65.
//
//go:noescape
func sumVector(b []byte) uint64

// sumAVX2 returns an unfolded sum of b, len(b) >= 64. Exact below 16 GiB.
//
//go:noescape
func sumAVX2(b []byte) uint64

// sumAVX512 returns an unfolded sum of b, 65 <= len(b) <= maxAVX512.
//
//go:noescape
func sumAVX512(b []byte) uint64
