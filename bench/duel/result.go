package main

import (
	"fmt"
	"io"

	"xrx/bench/internal/lab"
	"xrx/bench/internal/rig"
)

// result is the file that the benchmark writes.
type result struct {
	Machine     lab.Machine   `json:"machine"`
	SourceCPU   int           `json:"source_cpu"`
	ReceiverCPU int           `json:"receiver_cpu"`
	Turns       int           `json:"turns"` // of each sitting
	Seconds     float64       `json:"turn_s"`
	Sittings    []rig.Sitting `json:"sittings"`
	Skipped     []string      `json:"skipped"`
}

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
				loss = append(loss, x.Loss())
			}
			fmt.Fprintf(w, "  %-44s%-12s%16s%18s%9.2f\n", first.Receiver, load, fmt.Sprintf("%.1f ±%-5.1f", ns.Median(), ns.Spread()), fmt.Sprintf("%.1f ±%-5.1f", cpu.Median(), cpu.Spread()), loss.Median())
		}
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "\nskipped %s\n", s)
	}
}
