// Command latency measures how long packets take from their turn in the source to the consumer: the C loop and xrx, waiting
// in each of their ways, at several rates. The source stamps each frame with the moment at which its turn was, whether or
// not it could send it then (open loop: a stall counts for every frame that it delayed); the receiver reads the clock for
// each packet. It writes docs/bench/latency.json and latency.svg. It needs root.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"xrx/bench/internal/figure"
	"xrx/bench/internal/lab"
	"xrx/bench/internal/rig"
)

// row is one receiver at one rate.
type row struct {
	Receiver string       `json:"receiver"`
	Load     string       `json:"load"`
	Samples  []rig.Sample `json:"samples"`
	Failed   string       `json:"failed,omitempty"`
	// Medians over the samples, microseconds.
	P50    float64 `json:"p50_us"`
	P99    float64 `json:"p99_us"`
	P999   float64 `json:"p99_9_us"`
	P9999  float64 `json:"p99_99_us"`
	Max    float64 `json:"max_us"` // of all samples the worst
	KPPS   float64 `json:"kpps"`
	Loss   float64 `json:"loss_percent"`
	CPU    float64 `json:"cpu_percent"`
	Late99 float64 `json:"source_late_p99_us"`
}

type result struct {
	Machine lab.Machine `json:"machine"`
	Rounds  int         `json:"rounds"`
	Seconds float64     `json:"sample_s"`
	Loads   []rig.Load  `json:"loads"`
	Rows    []*row      `json:"rows"`
	Skipped []string    `json:"skipped"`
}

func main() {
	o := rig.Options{Tries: 1, Most: 100}
	rounds := flag.Int("rounds", 3, "rounds over all receivers and rates")
	flag.DurationVar(&o.Length, "time", 1500*time.Millisecond, "length of one sample")
	flag.IntVar(&o.SourceCPU, "source-cpu", 0, "processor of the source")
	flag.IntVar(&o.CPU, "cpu", 1, "processor of the receiver")
	only := flag.String("only", "", "measure only receivers with one of these, comma separated, in their names")
	quick := flag.Bool("quick", false, "one short round")
	out := flag.String("out", "docs/bench/latency", "result files, without .json and .svg")
	flag.Parse()
	if *quick {
		*rounds, o.Length = 1, 700*time.Millisecond
	}
	if err := run(o, *rounds, *only, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench-latency:", err)
		os.Exit(1)
	}
}

func run(o rig.Options, rounds int, only, out string) (err error) {
	r := &result{Machine: lab.ThisMachine(), Rounds: rounds, Seconds: o.Length.Seconds()}
	g, err := rig.New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	var rs []rig.Receiver
	for _, mode := range []string{"poll", "busy"} {
		if p := g.C(mode, "latency"); p != nil {
			rs = append(rs, p)
		}
	}
	rs = append(rs, g.Run("xrx, poll (--gather 0)", "", "--gro off --latency --gather 0"), g.Run("xrx, adaptive", "", "--gro off --latency"),
		g.Run("xrx, busy", "", "--gro off --latency --busy"), g.Run("xrx, adaptive, GRO on", "", "--gro on --latency"))
	rs, r.Skipped = rig.Only(rs, only), g.Skipped

	load := rig.Load{Engine: "packet", Proto: "udp", Size: 64, Flows: 64, Burst: 1, Stamp: true}
	most, err := saturation(g, load)
	if err != nil {
		return err
	}
	for _, l := range []struct {
		name string
		rate float64
	}{{"1 k/s", 1e3}, {"100 k/s", 1e5}, {"near saturation", 0.85 * most}} {
		load.Name, load.Rate = l.name, l.rate
		r.Loads = append(r.Loads, load)
	}
	each := o.Length + rig.Around
	fmt.Fprintf(os.Stderr, "%d receivers at %d rates, %d rounds of %v: about %v; the source alone can send %.0f k/s\n", len(rs), len(r.Loads), rounds, o.Length,
		(time.Duration(rounds*len(rs)*len(r.Loads)) * each).Round(time.Second), most/1e3)
	for round := range rounds {
		for _, l := range r.Loads {
			for _, rx := range rs {
				w := r.row(rx.Name(), l.Name)
				s, err := g.Undisturbed(rx, l)
				if err == nil && s.Latency == nil {
					err = errors.New("no stamped packet came")
				}
				if err != nil {
					w.Failed = err.Error()
					fmt.Fprintf(os.Stderr, "%s, %s: %v\n", rx.Name(), l.Name, err)
					continue
				}
				w.add(s)
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, rounds)
	}
	r.print(os.Stdout)
	path, err := lab.Save(out+".json", r)
	if err != nil {
		return err
	}
	fmt.Println("\nwritten to", path)
	return r.draw(out + ".svg")
}

// saturation is what the source sends at most, into a receiver that wakes for every packet: the slowest there is.
func saturation(g *rig.Rig, l rig.Load) (pps float64, err error) {
	s, err := g.Measure(g.Run("xrx", "", "--gro off --gather 0"), l)
	if err != nil {
		return 0, err
	}
	return s.PPS(), g.Quiet()
}

func (r *result) row(receiver, load string) *row {
	for _, w := range r.Rows {
		if w.Receiver == receiver && w.Load == load {
			return w
		}
	}
	w := &row{Receiver: receiver, Load: load}
	r.Rows = append(r.Rows, w)
	return w
}

func (w *row) add(s rig.Sample) {
	w.Samples = append(w.Samples, s)
	of := func(f func(rig.Sample) float64) float64 {
		var v lab.Samples
		for _, s := range w.Samples {
			v = append(v, f(s))
		}
		return v.Median()
	}
	w.P50 = of(func(s rig.Sample) float64 { return 1e6 * s.Latency.P50 })
	w.P99 = of(func(s rig.Sample) float64 { return 1e6 * s.Latency.P99 })
	w.P999 = of(func(s rig.Sample) float64 { return 1e6 * s.Latency.P999 })
	w.P9999 = of(func(s rig.Sample) float64 { return 1e6 * s.Latency.P9999 })
	w.Max = max(w.Max, 1e6*s.Latency.Max)
	w.KPPS = of(func(s rig.Sample) float64 { return s.PPS() / 1e3 })
	w.Loss = of(rig.Sample.Loss)
	w.CPU = of(func(s rig.Sample) float64 { return 100 * s.CPU / s.Seconds })
	w.Late99 = of(func(s rig.Sample) float64 {
		if s.Late == nil {
			return 0
		}
		return 1e6 * s.Late.P99
	})
}

func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "Latency from a packet's turn in the source to the consumer, microseconds; %d rounds of %.1f s, medians, max of all\n%s\n", r.Rounds, r.Seconds, r.Machine)
	for _, l := range r.Loads {
		fmt.Fprintf(w, "\n%s (%.0f packets a second)\n  %-26s%9s%9s%9s%9s%10s%9s%8s%7s%14s\n", l.Name, l.Rate, "", "p50", "p99", "p99.9", "p99.99", "max", "kpps", "loss %", "CPU %", "source p99")
		for _, x := range r.Rows {
			switch {
			case x.Load != l.Name:
			case len(x.Samples) == 0:
				fmt.Fprintf(w, "  %-26s failed: %s\n", x.Receiver, x.Failed)
			default:
				fmt.Fprintf(w, "  %-26s%9.1f%9.1f%9.0f%9.0f%10.0f%9.0f%8.2f%7.0f%14.1f\n", x.Receiver, x.P50, x.P99, x.P999, x.P9999, x.Max, x.KPPS, x.Loss, x.CPU, x.Late99)
			}
		}
	}
}

// draw has a panel for each rate: percentile against latency.
func (r *result) draw(path string) error {
	var panels []figure.Panel
	for _, l := range r.Loads {
		p := figure.Panel{Title: l.Name + " packets", X: "percentile", Y: "latency, µs", LogY: true,
			Names: []string{"p50", "p99", "p99.9", "p99.99", "max"}}
		if l.Rate > 1e5 {
			p.Title = fmt.Sprintf("near saturation: %.0f k/s packets", l.Rate/1e3)
		}
		for _, x := range r.Rows {
			if x.Load == l.Name && len(x.Samples) > 0 {
				p.Lines = append(p.Lines, figure.Line{Name: x.Receiver, X: []float64{0, 1, 2, 3, 4}, Y: []float64{x.P50, x.P99, x.P999, x.P9999, x.Max}})
			}
		}
		panels = append(panels, p)
	}
	return figure.Save(path, panels...)
}
