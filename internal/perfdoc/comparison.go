package perfdoc

import (
	"fmt"
	"slices"
)

// comparison is the median over the sittings, and between which values it is with a certainty of 95 % (of fewer
// than enough sittings: between which values all are).
type comparison struct {
	median, lo, hi float64
	sittings       int
}

// enough sittings can be certain: that six coins fall alike happens once in 32 times.
const enough = 6

func (c comparison) String() string { return fmt.Sprintf("%.3f (%.3f to %.3f)", c.median, c.lo, c.hi) }

func (c comparison) atMost(limit float64) string {
	return c.judge(c.median <= limit, c.hi <= limit || c.lo > limit)
}

func (c comparison) atLeast(limit float64) string {
	return c.judge(c.median >= limit, c.lo >= limit || c.hi < limit)
}

// judge says what a goal came to, and when another run might say otherwise.
func (c comparison) judge(met, clear bool) string {
	switch {
	case clear && c.sittings >= enough:
		return verdict(met)
	case met:
		return "met, not clearly"
	}
	return "**missed**, not clearly"
}

// middle returns the median.
func middle(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// within returns between which of the values the median of what they are a sample of is, with a certainty of 95 %: each
// of n values is below it or above it as a coin falls. Fewer than six can't be so certain: then the least and the greatest.
func within(v []float64) (lo, hi float64) {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	ways, below := 1.0, 0.0 // of k heads; of at most k, in parts of all 2^n
	half := 1.0
	for range n {
		half /= 2
	}
	k := 0
	for ; k < n/2; k++ {
		if below += ways * half; below > 0.025 {
			break
		}
		ways = ways * float64(n-k) / float64(k+1)
	}
	k = max(0, k-1) // at most k of n are below lo, or above hi, but once in forty
	return v[k], v[n-1-k]
}
