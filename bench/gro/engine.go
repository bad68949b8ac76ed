package main

import (
	"errors"
	"time"

	"xrx/bench/internal/lab"
	"xrx/bench/internal/traces"
)

// engine is one way to receive a burst.
type engine interface {
	Name() string
	// Runs reports whether the engine has something of its own to show on this trace.
	Runs(t *traces.Trace) bool
	// Measure runs the trace again and again for about d.
	Measure(t *traces.Trace, d time.Duration) (sample, error)
	Close() error
}

// errAbsent is why an engine can't be here: it is left out of the table by name.
var errAbsent = errors.New("skipped")

// sample is one engine on one trace, once.
type sample struct {
	NS      float64 // per packet: GRO, flush, delivery
	Ratio   float64 // packets in per packet out
	Allocs  float64 // heap allocations per packet; -1 where nobody counts
	Removed float64 // part of the bursts that were interrupted, and not counted
}

// inProcess is an engine written in Go: measure times it from the outside.
type inProcess interface {
	load(burst [][]byte) // into the engine's frames, before the clock starts
	run() (out int)      // what is timed: returns packets delivered
}

const (
	warmUp    = 32 // bursts before the first that counts
	maxBursts = 1 << 16
)

// measure is engine.Measure for engines in Go.
func measure(e inProcess, frames [][]byte, d time.Duration) sample {
	at := 0
	next := func() [][]byte {
		if at+traces.Burst > len(frames) {
			at = 0
		}
		at += traces.Burst
		return frames[at-traces.Burst : at]
	}
	for range warmUp {
		e.load(next())
		e.run()
	}
	times := make([]int64, 0, maxBursts)
	out := 0
	allocs := lab.CountAllocs()
	for end := time.Now().Add(d); len(times) < maxBursts; {
		e.load(next())
		t0 := time.Now()
		out += e.run()
		t1 := time.Now()
		times = append(times, int64(t1.Sub(t0)))
		if t1.After(end) {
			break
		}
	}
	in := float64(len(times) * traces.Burst)
	n := allocs()
	mean, removed := lab.Kept(times)
	return sample{NS: mean / traces.Burst, Ratio: in / float64(out), Allocs: float64(n) / in,
		Removed: float64(removed) / float64(len(times))}
}
