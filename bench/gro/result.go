package main

import (
	"fmt"
	"io"
	"strings"

	"xrx/bench/internal/lab"
	"xrx/bench/internal/traces"
)

func median(s []float64) float64 { return lab.Samples(s).Median() }

// cell is one engine on one trace.
type cell struct {
	NS      lab.Samples `json:"ns"` // per packet, one sample a round
	Median  float64     `json:"median_ns"`
	Spread  float64     `json:"spread_ns"` // half of the distance between the quartiles
	Ratio   float64     `json:"ratio"`     // packets in per packet out
	Allocs  float64     `json:"allocs"`    // heap allocations per packet, the most in any round; -1 = not counted
	Removed float64     `json:"removed"`   // part of the bursts that were interrupted, mean
}

func (c *cell) add(s sample, round int) {
	c.NS = append(c.NS, s.NS)
	c.Median, c.Spread = c.NS.Median(), c.NS.Spread()
	c.Ratio = s.Ratio
	c.Allocs = max(c.Allocs, s.Allocs)
	if round == 0 {
		c.Allocs = s.Allocs
	}
	c.Removed += (s.Removed - c.Removed) / float64(round+1)
}

// row is one engine on all traces.
type row struct {
	Engine string           `json:"engine"`
	Cells  map[string]*cell `json:"traces"`
}

// targets are the most ns per packet that xrx may need, layer 4 checksums verified; T5 with its port opted in.
var targets = map[string]float64{"T1": 45, "T2a": 60, "T2b": 50, "T3": 75, "T4": 25, "T5": 40}

// verdict compares one median with its target.
type verdict struct {
	Trace  string  `json:"trace"`
	Target float64 `json:"target_ns"`
	Got    float64 `json:"got_ns"`
	Met    bool    `json:"met"`
}

// result is the file that the benchmark writes.
type result struct {
	Machine   lab.Machine `json:"machine"`
	LoadAfter string      `json:"load_after"`
	PinnedTo  int         `json:"cpu"`
	Rounds    int         `json:"rounds"`
	SampleMS  int64       `json:"sample_ms"`
	Rows      []*row      `json:"engines"`
	Skipped   []string    `json:"skipped"`
	Targets   []verdict   `json:"targets"`
	Flows     []flowCost  `json:"flows"`
}

// judge fills Targets.
func (r *result) judge(ts []traces.Trace) {
	for _, t := range ts {
		for _, w := range r.Rows {
			if w.Engine == judged(t.Name) && w.Cells[t.Name] != nil {
				got := w.Cells[t.Name].Median
				r.Targets = append(r.Targets, verdict{t.Name, targets[t.Name], got, got <= targets[t.Name]})
			}
		}
	}
}

// judged names the engine whose median counts on a trace.
func judged(trace string) string {
	if trace == "T5" {
		return xrxUDP
	}
	return xrxVerified
}

// print writes the tables.
func (r *result) print(w io.Writer, ts []traces.Trace) {
	m := r.Machine
	fmt.Fprintf(w, "GRO, ns per packet: median of %d rounds ± half of the quartiles' distance, processor %d\n", r.Rounds, r.PinnedTo)
	fmt.Fprintf(w, "%s, %d CPUs, Linux %s, %s, %s, xrx %s, load %s\n\n", m.CPU, m.CPUs, m.Kernel, m.Go, m.Date.Format("2006-01-02 15:04 MST"), m.Commit, m.Load)
	r.line(w, ts, "", func(t *traces.Trace, _ int) string { return t.Name + "      " })
	for _, row := range r.Rows {
		r.line(w, ts, row.Engine, func(t *traces.Trace, _ int) string { return row.Cells[t.Name].time() })
	}
	r.line(w, ts, "target for xrx, verified", func(t *traces.Trace, _ int) string { return fmt.Sprintf("%.0f      ", targets[t.Name]) })
	if len(r.Targets) == len(ts) {
		r.line(w, ts, "met (T5: port opted in)", func(_ *traces.Trace, i int) string {
			if r.Targets[i].Met {
				return "yes      "
			}
			return fmt.Sprintf("+%.0f%%      ", (r.Targets[i].Got/r.Targets[i].Target-1)*100)
		})
	}
	fmt.Fprintln(w, "\nPackets in per packet out; heap allocations per packet in brackets where there are any")
	for _, row := range r.Rows {
		r.line(w, ts, row.Engine, func(t *traces.Trace, _ int) string { return row.Cells[t.Name].shape() })
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "\n%s\n", s)
	}
	if len(r.Flows) > 0 {
		r.printFlows(w)
	}
}

func (r *result) line(w io.Writer, ts []traces.Trace, name string, text func(*traces.Trace, int) string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-42s", name)
	for i := range ts {
		fmt.Fprintf(&b, "%14s", text(&ts[i], i))
	}
	fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
}

func (r *result) printFlows(w io.Writer) {
	fmt.Fprintln(w, "\nxrx by number of flows, 64 B payload, checksum verified: ns per packet, flushed after each burst or with all flows held")
	fmt.Fprintf(w, "%12s%12s%12s%14s%16s%22s\n", "flows", "flushed", "held", "ratio, held", "memory, held", "one random load there")
	for _, c := range r.Flows {
		fmt.Fprintf(w, "%12d%12.1f%12.1f%14.2f%13.1f MiB%19.1f ns\n", c.Flows, c.Flushed, c.Held, c.Ratio, float64(c.Bytes)/(1<<20), c.Load)
	}
}

func (c *cell) time() string {
	if c == nil {
		return "-      "
	}
	return fmt.Sprintf("%.1f ±%-4.1f", c.Median, c.Spread)
}

func (c *cell) shape() string {
	switch {
	case c == nil:
		return "-      "
	case c.Allocs > 0.0005:
		return fmt.Sprintf("%.1f (%.2f)", c.Ratio, c.Allocs)
	}
	return fmt.Sprintf("%.1f      ", c.Ratio)
}
