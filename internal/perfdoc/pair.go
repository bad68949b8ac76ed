package perfdoc

import (
	"fmt"
	"slices"
)

// apart is the round trip of a cache line, ns, from which on two processors count as far apart: those that share a cache
// take 60 to 190 ns, the others from 400 on.
const apart = 250

// placements are where the two processors were: the host of a virtual machine moves them about.
var placements = []struct {
	name string
	has  func(sample) bool
}{
	{"near", func(s sample) bool { return s.Crossing > 0 && s.Crossing < apart }},
	{"far", func(s sample) bool { return s.Crossing >= apart }},
}

// pair is two receivers under one load in the same rounds, seconds apart, with the processors placed alike. The machine is
// faster in one minute than in the next by more than receivers differ: it is rounds that are compared, not medians.
type pair struct {
	place  string
	xs, cs []sample // by round
}

// pairs returns the rounds of the two by placement; all together where that was not measured.
func (r *rx) pairs(receiver, peer, load string) (ps []pair) {
	x, okX := r.find(receiver, load)
	c, okC := r.find(peer, load)
	if !okX || !okC {
		return nil
	}
	if !slices.ContainsFunc(x.Samples, func(s sample) bool { return s.Crossing > 0 }) {
		ps = append(ps, match("", x.Samples, c.Samples, func(sample) bool { return true }))
	} else {
		for _, p := range placements {
			ps = append(ps, match(p.name, x.Samples, c.Samples, p.has))
		}
	}
	return slices.DeleteFunc(ps, func(p pair) bool { return len(p.xs) == 0 })
}

func match(place string, xs, cs []sample, has func(sample) bool) pair {
	p := pair{place: place}
	for i, x := range xs {
		j := slices.IndexFunc(cs, func(c sample) bool { return c.Round == x.Round })
		if x.Round == 0 {
			j = i
		}
		if j >= 0 && j < len(cs) && has(x) && has(cs[j]) {
			p.xs, p.cs = append(p.xs, x), append(p.cs, cs[j])
		}
	}
	return p
}

// where says which rounds these are.
func (p pair) where() string {
	rounds := "rounds"
	if len(p.xs) == 1 {
		rounds = "round"
	}
	if p.place == "" {
		return fmt.Sprintf("%d %s", len(p.xs), rounds)
	}
	return fmt.Sprintf("%s, %d %s", p.place, len(p.xs), rounds)
}

// medians are of the receiver's figure and of the peer's, each over all rounds.
func (p pair) medians(of func(sample) float64) (x, c float64) {
	return middle(each(p.xs, of)), middle(each(p.cs, of))
}

// by compares round by round.
func (p pair) by(of func(x, c sample) float64) comparison {
	v := make([]float64, len(p.xs))
	for i := range v {
		v[i] = of(p.xs[i], p.cs[i])
	}
	lo, hi := within(v)
	return comparison{middle(v), lo, hi, len(v)}
}

func each(samples []sample, of func(sample) float64) []float64 {
	v := make([]float64, len(samples))
	for i, s := range samples {
		v[i] = of(s)
	}
	return v
}

// What a sample comes to: packets a second, percent lost, ns of processor time a packet, percent of a processor.
func rate(s sample) float64 { return s.Received / s.Seconds }
func lost(s sample) float64 { return max(0, 100*(1-s.Received/s.Sent)) }
func cost(s sample) float64 { return s.CPU * 1e9 / max(1, s.Received) }
func used(s sample) float64 { return 100 * s.CPU / s.Seconds }

// comparison is the median over the rounds, and between which values it is with a certainty of 95 % (of fewer
// than enough rounds: between which values all are).
type comparison struct {
	median, lo, hi float64
	rounds         int
}

// enough rounds can be certain: that six coins fall alike happens once in 32 times.
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
	case clear && c.rounds >= enough:
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
