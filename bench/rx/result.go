package main

import (
	"fmt"
	"io"

	"xrx/bench/internal/lab"
	"xrx/bench/internal/rig"
)

// cell is one receiver under one load.
type cell struct {
	Receiver string       `json:"receiver"`
	Load     string       `json:"load"`
	Samples  []rig.Sample `json:"samples"`
	Failed   string       `json:"failed,omitempty"`
	// Medians of the samples, and half of the distance between the quartiles.
	KPPS       float64 `json:"kpps"`
	KPPSSpread float64 `json:"kpps_spread"`
	Loss       float64 `json:"loss_percent"`
	NS         float64 `json:"cpu_ns_per_packet"`
	NSSpread   float64 `json:"cpu_ns_spread"`
	Busy       float64 `json:"cpu_percent"`
	Batch      float64 `json:"batch"`
	Syscalls   float64 `json:"syscalls_per_packet"`
	Others     float64 `json:"others_percent"`
	Crossing   float64 `json:"crossing_ns"` // median of the samples'
}

func (c *cell) add(s rig.Sample) {
	c.Samples = append(c.Samples, s)
	of := func(f func(rig.Sample) float64) (v lab.Samples) {
		for _, s := range c.Samples {
			v = append(v, f(s))
		}
		return v
	}
	kpps, ns := of(func(s rig.Sample) float64 { return s.PPS() / 1e3 }), of(rig.Sample.Cost)
	c.KPPS, c.KPPSSpread, c.NS, c.NSSpread = kpps.Median(), kpps.Spread(), ns.Median(), ns.Spread()
	c.Loss = of(rig.Sample.Loss).Median()
	c.Busy = of(func(s rig.Sample) float64 { return 100 * s.CPU / s.Seconds }).Median()
	c.Batch = of(func(s rig.Sample) float64 { return s.Batch }).Median()
	c.Others = of(rig.Sample.Disturbed).Median()
	c.Crossing = of(func(s rig.Sample) float64 { return s.Crossing }).Median()
	c.Syscalls = of(func(s rig.Sample) float64 { return s.Syscalls }).Median()
}

// result is the file that the benchmark writes.
type result struct {
	Machine     lab.Machine `json:"machine"`
	LoadAfter   string      `json:"load_after"`
	SourceCPU   int         `json:"source_cpu"`
	ReceiverCPU int         `json:"receiver_cpu"`
	Rounds      int         `json:"rounds"`
	Seconds     float64     `json:"sample_s"`
	Loads       []rig.Load  `json:"loads"`
	Cells       []*cell     `json:"cells"`
	Skipped     []string    `json:"skipped"`
}

func (r *result) cell(receiver, load string) *cell {
	for _, c := range r.Cells {
		if c.Receiver == receiver && c.Load == load {
			return c
		}
	}
	c := &cell{Receiver: receiver, Load: load}
	r.Cells = append(r.Cells, c)
	return c
}

func (r *result) print(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "Receivers on one veth pair, one queue: median of %d rounds of %.1f s ± half of the quartiles' distance; source on CPU %d, receiver on CPU %d\n",
		r.Rounds, r.Seconds, r.SourceCPU, r.ReceiverCPU)
	fmt.Fprintf(w, "%s, %d CPUs, Linux %s, %s, %s, xrx %s, load %s\n", m.CPU, m.CPUs, m.Kernel, m.Go, m.Date.Format("2006-01-02 15:04 MST"), m.Commit, m.Load)
	for _, l := range r.Loads {
		fmt.Fprintf(w, "\n%s: %s, %s, %d B, %d flows, %d in a row\n", l.Name, l.Engine, l.Proto, l.Size, l.Flows, l.Burst)
		fmt.Fprintf(w, "  %-44s%16s%9s%18s%7s%8s%14s%10s%10s\n", "", "kpps", "loss %", "CPU ns/packet", "CPU %", "batch", "syscalls/pkt", "others %", "line ns")
		for _, c := range r.Cells {
			if c.Load == l.Name {
				c.print(w)
			}
		}
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "\nskipped %s\n", s)
	}
}

func (c *cell) print(w io.Writer) {
	if len(c.Samples) == 0 {
		fmt.Fprintf(w, "  %-44s failed: %s\n", c.Receiver, c.Failed)
		return
	}
	batch, calls := "-", "-"
	if c.Batch > 0 {
		batch = fmt.Sprintf("%.1f", c.Batch)
	}
	if c.Samples[0].Counted {
		calls = fmt.Sprintf("%.4f", c.Syscalls)
	}
	fmt.Fprintf(w, "  %-44s%16s%9.2f%18s%7.0f%8s%14s%10.0f%10.0f\n", c.Receiver, fmt.Sprintf("%.0f ±%-4.0f", c.KPPS, c.KPPSSpread), c.Loss,
		fmt.Sprintf("%.1f ±%-4.1f", c.NS, c.NSSpread), c.Busy, batch, calls, c.Others, c.Crossing)
	if c.Failed != "" {
		fmt.Fprintf(w, "  %-44s failed in a round: %s\n", "", c.Failed)
	}
}
