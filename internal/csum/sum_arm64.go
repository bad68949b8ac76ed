//go:build !purego

package csum

import "golang.org/x/sys/cpu"

// minVector is the shortest input, in bytes, that goes to assembly. It is the
// amd64 figure: no arm64 machine was at hand to measure on.
const minVector = 96

var useVector = cpu.ARM64.HasASIMD

// sumVector returns an unfolded sum of b, len(b) >= 8, with NEON. Exact below
// 16 GiB.
//
//go:noescape
func sumVector(b []byte) uint64
