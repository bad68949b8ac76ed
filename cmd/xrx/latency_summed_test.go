package main

import (
	"math/rand/v2"
	"testing"

	"xrx/stats"
)

// One way through a histogram says what one way for each figure says.
func TestASummaryIsWhatTheHistogramSays(t *testing.T) {
	for _, n := range []int{0, 1, 2, 1000, 100_000} {
		h := newHistogram()
		for range n {
			if err := h.RecordValue(rand.Int64N(1 << rand.IntN(36))); err != nil {
				t.Fatal(err)
			}
		}
		want := stats.Latency{Packets: uint64(n), Unstamped: 7}
		if n > 0 {
			at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1e9 }
			want.Min, want.P50, want.P90, want.P99, want.P999, want.P9999, want.Max = float64(h.Min())/1e9, at(50), at(90), at(99), at(99.9), at(99.99), float64(h.Max())/1e9
		}
		if got := summed(h, 7); *got != want {
			t.Errorf("%d values: %+v, want %+v", n, *got, want)
		}
	}
}

// What the reporter takes is what was recorded since it came last, of each queue, and the total is their sum.
func TestTheReporterTakesEachRecordOnce(t *testing.T) {
	l := newLatency()
	sum := uint64(0)
	for round := range uint64(5) {
		want := uint64(0)
		for q := range round { // none, then more and more of them
			r := &l.queues[q]
			r.mu.Lock()
			if r.h == nil {
				r.h = newHistogram()
			}
			for v := range 10 + q {
				if err := r.h.RecordValue(int64(1000*round + v)); err != nil {
					t.Fatal(err)
				}
				want++
			}
			r.alien++
			r.mu.Unlock()
		}
		got := l.interval()
		if got.Packets != want || got.Unstamped != round {
			t.Errorf("round %d: %+v, want %d packets and %d without a stamp", round, got, want, round)
		}
		if want > 0 && (got.Min < 0.99e-6*float64(round) || got.Max > 1.1e-6*float64(round)) {
			t.Errorf("round %d: %+v has values of others", round, got)
		}
		sum += want
	}
	if whole := l.whole(); whole.Packets != sum || whole.Unstamped != 10 {
		t.Errorf("%+v, want %d packets", whole, sum)
	}
}
