// Command gro measures GRO engines on six traces, side by side: each engine once on each trace, then again, for several
// rounds. A burst of 64 frames lies in the engine's memory before the clock starts; what is timed is GRO with parsing and
// checksums, flush and delivery. It prints ns per packet and writes docs/bench/gro.json.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"xrx/bench/internal/lab"
	"xrx/bench/internal/traces"
)

type options struct {
	rounds, cpu int
	length      time.Duration
	only        string
	traces      string
	flows       bool
	profile     string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 9, "rounds over all engines and traces")
	flag.DurationVar(&o.length, "time", 60*time.Millisecond, "length of one sample")
	flag.IntVar(&o.cpu, "cpu", 1, "processor to measure on")
	flag.StringVar(&o.only, "only", "", "measure only engines with this in their name")
	flag.StringVar(&o.traces, "traces", "T1,T2a,T2b,T3,T4,T5", "measure only these traces")
	flag.BoolVar(&o.flows, "flows", true, "measure 64, 10,000 and 1,000,000 flows too (2.5 GB of memory)")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a processor profile to this file")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-gro:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	ts, err := traces.New()
	if err != nil {
		return err
	}
	ts = slices.DeleteFunc(ts, func(t traces.Trace) bool { return !slices.Contains(strings.Split(o.traces, ","), t.Name) })
	r := &result{Machine: lab.ThisMachine(), PinnedTo: o.cpu, Rounds: o.rounds, SampleMS: o.length.Milliseconds()}
	if err := lab.Pin(o.cpu); err != nil {
		return fmt.Errorf("pin to processor %d: %w", o.cpu, err)
	}
	if restore, err := lab.Urgent(); err != nil {
		fmt.Fprintln(os.Stderr, "bench-gro: at normal priority:", err)
	} else {
		defer restore()
	}
	engines, err := r.engines(o, ts)
	if err != nil {
		return err
	}
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if err := r.measure(o, engines, ts); err != nil {
		return err
	}
	for _, e := range engines {
		if err := e.Close(); err != nil {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	if o.flows {
		for _, n := range flowCounts {
			c, err := measureFlows(n, o.rounds, o.length)
			if err != nil {
				return err
			}
			r.Flows = append(r.Flows, c)
		}
	}
	r.LoadAfter = lab.Load()
	r.judge(ts)
	r.print(os.Stdout, ts)
	path, err := lab.Save("docs/bench/gro.json", r)
	if err != nil {
		return err
	}
	fmt.Println("\nwritten to", path)
	return nil
}

// measure takes the engines in turn, so that what changes on the machine changes for all.
func (r *result) measure(o options, es []engine, ts []traces.Trace) error {
	for round := range o.rounds {
		for k := range ts {
			t := &ts[k]
			for i, e := range es {
				if !e.Runs(t) {
					continue
				}
				s, err := e.Measure(t, o.length)
				if err != nil {
					return fmt.Errorf("%s on %s: %w", e.Name(), t.Name, err)
				}
				if r.Rows[i].Cells[t.Name] == nil {
					r.Rows[i].Cells[t.Name] = &cell{}
				}
				r.Rows[i].Cells[t.Name].add(s, round)
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
	}
	return nil
}
