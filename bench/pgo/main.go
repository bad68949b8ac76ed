// Command pgo records the processor profile that xrx is built with, cmd/xrx/default.pgo, from xrx run under the loads of
// the benchmarks, and measures what it brings: builds with and without it take turns under the same loads. It writes
// docs/bench/pgo.json. With -compare it only measures. It needs root.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"xrx/bench/internal/lab"
	"xrx/bench/internal/rig"
)

// scene is a load with flags for xrx run.
type scene struct{ name, load, flags string }

// recorded are what the profile is made of: busy, so that every tick of the processor is a sample.
var recorded = []scene{
	{"GRO off", "udp64", "--gro off --busy"}, {"GRO on", "udp64", "--gro on --busy"},
	{"GRO on", "tcp1500", "--gro on --busy"}, {"GRO off, adaptive", "udp64", "--gro off"}, {"GRO off", "packet64", "--gro off"},
}

// compared are what is measured.
var compared = []scene{{"GRO off", "udp64", "--gro off"}, {"GRO on", "udp64", "--gro on"}, {"GRO on", "tcp1500", "--gro on"}}

// row is one scene: medians without and with the profile.
type row struct {
	Name        string       `json:"name"`
	Load        string       `json:"load"`
	Without     []rig.Sample `json:"without"`
	With        []rig.Sample `json:"with"`
	WithoutNS   float64      `json:"without_ns_per_packet"`
	WithNS      float64      `json:"with_ns_per_packet"`
	WithoutKPPS float64      `json:"without_kpps"`
	WithKPPS    float64      `json:"with_kpps"`
	Gain        float64      `json:"gain_percent"` // of processor time
}

type result struct {
	Machine lab.Machine `json:"machine"`
	Rounds  int         `json:"rounds"`
	Seconds float64     `json:"sample_s"`
	Rows    []*row      `json:"rows"`
}

func main() {
	o := rig.Options{Tries: 2, Most: 20}
	rounds := flag.Int("rounds", 7, "rounds of the comparison")
	flag.DurationVar(&o.Length, "time", time.Second, "length of one sample")
	record := flag.Duration("record", 5*time.Second, "length of each recording")
	compare := flag.Bool("compare", false, "measure the profile that there is; record none")
	flag.IntVar(&o.SourceCPU, "source-cpu", 0, "processor of the source")
	flag.IntVar(&o.CPU, "cpu", 1, "processor of the receiver")
	path := flag.String("o", "cmd/xrx/default.pgo", "the profile, from the repository's top folder")
	out := flag.String("out", "docs/bench/pgo.json", "result file")
	flag.Parse()
	if err := run(o, *rounds, *record, *compare, *path, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench-pgo:", err)
		os.Exit(1)
	}
}

func run(o rig.Options, rounds int, length time.Duration, compare bool, path, out string) (err error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(lab.Root(), path)
	}
	g, err := rig.New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	without, err := g.BuildXRX("xrx-plain", "-pgo=off")
	if err != nil {
		return err
	}
	g.XRX = without // the source too, always the same one
	if !compare {
		if err := record(g, without, length, path); err != nil {
			return err
		}
	}
	with, err := g.BuildXRX("xrx-pgo", "-pgo="+path)
	if err != nil {
		return err
	}
	r := &result{Machine: lab.ThisMachine(), Rounds: rounds, Seconds: o.Length.Seconds()}
	g.Length = o.Length
	fmt.Fprintf(os.Stderr, "comparing: about %v\n", (time.Duration(2*rounds*len(compared)) * (o.Length + rig.Around)).Round(time.Second))
	for range rounds {
		for i, c := range compared {
			if len(r.Rows) <= i {
				r.Rows = append(r.Rows, &row{Name: c.name, Load: c.load})
			}
			load, err := rig.Pick(c.load)
			if err != nil {
				return err
			}
			a, err := g.Undisturbed(g.Run(c.name, without, c.flags), load[0])
			if err != nil {
				return err
			}
			b, err := g.Undisturbed(g.Run(c.name, with, c.flags), load[0])
			if err != nil {
				return err
			}
			r.Rows[i].add(a, b)
		}
	}
	r.print(os.Stdout)
	file, err := lab.Save(out, r)
	if err == nil {
		fmt.Println("\nwritten to", file)
	}
	return err
}

// record makes one profile of those of all scenes.
func record(g *rig.Rig, bin string, length time.Duration, path string) error {
	g.Length = length
	args := []string{"tool", "pprof", "-proto"}
	for i, s := range recorded {
		load, err := rig.Pick(s.load)
		if err != nil {
			return err
		}
		file := filepath.Join(g.Dir, fmt.Sprintf("cpu%d.pprof", i))
		if _, err := g.Measure(g.Run(s.name, bin, s.flags+" --cpuprofile "+file), load[0]); err != nil {
			return fmt.Errorf("%s, %s: %w", s.name, s.load, err)
		}
		if err := g.Quiet(); err != nil {
			return err
		}
		args = append(args, file)
		fmt.Fprintf(os.Stderr, "recorded %s, %s\n", s.load, s.flags)
	}
	profile, err := exec.Command("go", args...).Output()
	if err != nil {
		return fmt.Errorf("go tool pprof: %w", err)
	}
	return os.WriteFile(path, profile, 0o644)
}

func (w *row) add(a, b rig.Sample) {
	w.Without, w.With = append(w.Without, a), append(w.With, b)
	of := func(list []rig.Sample, f func(rig.Sample) float64) float64 {
		var v lab.Samples
		for _, s := range list {
			v = append(v, f(s))
		}
		return v.Median()
	}
	kpps := func(s rig.Sample) float64 { return s.PPS() / 1e3 }
	w.WithoutNS, w.WithNS = of(w.Without, rig.Sample.Cost), of(w.With, rig.Sample.Cost)
	w.WithoutKPPS, w.WithKPPS = of(w.Without, kpps), of(w.With, kpps)
	w.Gain = 100 * (1 - w.WithNS/w.WithoutNS)
}

func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "xrx run built without and with its profile, in turn; medians of %d rounds of %.1f s\n%s\n\n  %-20s%22s%22s%10s\n", r.Rounds, r.Seconds, r.Machine, "", "without", "with", "gain")
	for _, x := range r.Rows {
		fmt.Fprintf(w, "  %-20s%9.1f ns%6.0f kpps%9.1f ns%6.0f kpps%8.1f %%\n", x.Load+", "+x.Name, x.WithoutNS, x.WithoutKPPS, x.WithNS, x.WithKPPS, x.Gain)
	}
}
