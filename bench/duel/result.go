package main

import (
	"fmt"
	"io"
	"math"

	"xrx/bench/internal/lab"
	"xrx/bench/internal/rig"
)

// result is the file that the benchmark writes.
type result struct {
	Machine     lab.Machine `json:"machine"`
	SourceCPU   int         `json:"source_cpu"`
	ReceiverCPU int         `json:"receiver_cpu"`
	Turns       int         `json:"turns"` // of each sitting
	Seconds     float64     `json:"turn_s"`
	Sittings    []sitting   `json:"sittings"`
	Skipped     []string    `json:"skipped"`
}

// sitting is what receivers did that were started together.
type sitting struct {
	Crossing []float64 `json:"crossing_ns"` // of each turn: lab.Crossing
	Seats    []seat    `json:"seats"`
}

// seat is one receiver. What it received is known only of all its turns together.
type seat struct {
	Receiver string              `json:"receiver"`
	Sent     uint64              `json:"sent"`
	Received uint64              `json:"received"`
	Loads    map[string]*samples `json:"loads"`
}

// samples are the turns under one load, in their order: how long the source took for a frame, and the processor time that the
// receiver used meanwhile, for each frame sent.
type samples struct {
	NS  []float64 `json:"source_ns_per_frame"`
	CPU []float64 `json:"cpu_ns_per_frame"`
}

func (s *seat) add(load string, x rig.Sample) {
	s.Sent += x.Sent
	l := s.Loads[load]
	l.NS = append(l.NS, round(x.Seconds*1e9/float64(x.Sent)))
	l.CPU = append(l.CPU, round(x.CPU*1e9/float64(x.Sent)))
}

// round keeps hundredths: the file is read by people too.
func round(ns float64) float64 { return math.Round(100*ns) / 100 }

// print is the medians; docs/PERFORMANCE.md compares, sitting by sitting.
func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "Receivers in turn: medians of %d sittings of %d turns of %.2f s; source on CPU %d, receivers on CPU %d\n%s\n", len(r.Sittings), r.Turns, r.Seconds, r.SourceCPU, r.ReceiverCPU, r.Machine)
	fmt.Fprintf(w, "  %-44s%-12s%16s%18s%9s\n", "", "", "source ns/frame", "CPU ns/frame", "loss %")
	for i, first := range r.Sittings[0].Seats {
		for _, load := range []string{"udp64", "tcp1500", "xsk64", "xsk1500", "packet64", "packet1500"} {
			if first.Loads[load] == nil {
				continue
			}
			var ns, cpu, loss lab.Samples
			for _, s := range r.Sittings {
				x := s.Seats[i]
				ns, cpu = append(ns, x.Loads[load].NS...), append(cpu, x.Loads[load].CPU...)
				loss = append(loss, 100*(1-float64(x.Received)/float64(max(1, x.Sent))))
			}
			fmt.Fprintf(w, "  %-44s%-12s%16s%18s%9.2f\n", first.Receiver, load, fmt.Sprintf("%.1f ±%-5.1f", ns.Median(), ns.Spread()), fmt.Sprintf("%.1f ±%-5.1f", cpu.Median(), cpu.Spread()), loss.Median())
		}
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "\nskipped %s\n", s)
	}
}
