package lab

import (
	"runtime"
	"testing"
)

func TestMedianAndSpread(t *testing.T) {
	for _, c := range []struct {
		name           string
		s              Samples
		median, spread float64
	}{
		{"of nothing is zero", nil, 0, 0},
		{"of one is that one", Samples{7}, 7, 0},
		{"does not depend on order", Samples{5, 1, 3}, 3, 1},
		{"of an even number is between the middle two", Samples{4, 1, 3, 2}, 2.5, 0.75},
		{"ignores one far outlier", Samples{1, 2, 3, 4, 1000}, 3, 1},
	} {
		if m, s := c.s.Median(), c.s.Spread(); m != c.median || s != c.spread {
			t.Errorf("median and spread %s: got %v and %v, want %v and %v", c.name, m, s, c.median, c.spread)
		}
	}
}

func TestInterruptedBurstsAreRemoved(t *testing.T) {
	mean, removed := Kept([]int64{10, 12, 4000, 11, 40, 11})
	if want := (10 + 12 + 11 + 40 + 11) / 5.0; mean != want || removed != 1 {
		t.Errorf("got mean %v without %d, want %v without 1", mean, removed, want)
	}
}

func TestACrossingTakesTime(t *testing.T) {
	if got := Crossing(0, 0); got != 0 {
		t.Errorf("from a processor to itself: %v ns", got)
	}
	if got := Crossing(0, 1<<20); got != 0 {
		t.Errorf("to a processor that is not there: %v ns", got)
	}
	if runtime.NumCPU() < 2 {
		t.Skip("needs two processors")
	}
	if got := Crossing(0, 1); got < 5 || got > 1e6 {
		t.Errorf("%v ns: no line is as fast or as slow", got)
	}
}
