package main

import (
	"math"
	"runtime/metrics"
)

// pauses reads how long the garbage collector stopped the program (runtime/metrics).
type pauses struct {
	s    []metrics.Sample
	last []uint64
	runs uint64
}

func newPauses() *pauses {
	p := &pauses{s: []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}, {Name: "/gc/cycles/total:gc-cycles"}}}
	p.since()
	return p
}

// since returns how many collections there were since it was called last, and the upper bound of the longest pause's
// bucket, in seconds.
func (p *pauses) since() (runs uint64, longest float64) {
	metrics.Read(p.s)
	h := p.s[0].Value.Float64Histogram()
	if p.last == nil {
		p.last = make([]uint64, len(h.Counts))
	}
	for i, n := range h.Counts {
		if n > p.last[i] {
			longest = h.Buckets[i+1]
			if math.IsInf(longest, 1) {
				longest = h.Buckets[i]
			}
		}
		p.last[i] = n
	}
	now := p.s[1].Value.Uint64()
	runs, p.runs = now-p.runs, now
	return runs, longest
}
