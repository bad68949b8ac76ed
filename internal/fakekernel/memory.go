package fakekernel

import (
	"testing"

	"xrx/umem"
)

// NewUmem builds a region in Go's own memory, which the race detector watches and no privilege is needed for, and
// cuts it into pools.
func NewUmem(t testing.TB, cfg umem.Config, pools int) (*umem.Umem, []*umem.Pool) {
	t.Helper()
	// Heap objects of a page or more begin at a page; a little more than the largest stride covers all rounding.
	size := max(cfg.Frames, 4096) * (max(cfg.ChunkSize, 2048) + 64)
	if cfg.Frames != 0 {
		size = cfg.Frames*(max(cfg.ChunkSize, 2048)+64) + 1<<16
	}
	mem, err := umem.NewOn(make([]byte, size), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ps, err := mem.Split(pools)
	if err != nil {
		t.Fatal(err)
	}
	return mem, ps
}
