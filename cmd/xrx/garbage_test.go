package main

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

// nextCollection returns at how many bytes in use the collector begins, as it says itself.
func nextCollection() uint64 {
	runtime.GC()
	s := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func TestGarbageMayPileUpUnlessTheEnvironmentSaysHowOftenToCollect(t *testing.T) {
	before := ballast
	t.Cleanup(func() { ballast = before })
	for _, c := range []struct {
		name, gogc, limit string
		piles             bool
	}{
		{"nothing said", "", "", true},
		{"GOGC", "100", "", false},
		{"GOMEMLIMIT", "", "1GiB", false},
	} {
		ballast = nil
		t.Setenv("GOGC", c.gogc) // the runtime read them at the start: only rarelyCollect looks now
		t.Setenv("GOMEMLIMIT", c.limit)
		least := nextCollection()
		rarelyCollect()
		more := int64(nextCollection()) - int64(least)
		if c.piles && more < garbageMost || !c.piles && (more >= garbageMost || ballast != nil) {
			t.Errorf("%s: the next collection comes %d bytes later", c.name, more)
		}
	}
}
