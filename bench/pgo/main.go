// Command pgo records the processor profile that xrx is built with, cmd/xrx/default.pgo, from xrx run under the loads of
// the benchmarks, and measures what it brings: builds with and without it take turns under the same loads. It writes
// docs/bench/pgo.json. With -compare it only measures. It needs root.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// result is the file: like that of command duel.
type result struct {
	Machine  lab.Machine   `json:"machine"`
	Turns    int           `json:"turns"` // of each sitting
	Seconds  float64       `json:"turn_s"`
	Sittings []rig.Sitting `json:"sittings"`
}

func main() {
	o := rig.Options{}
	sittings := flag.Int("sittings", 8, "times that both are started anew for the comparison")
	turns := flag.Int("turns", 6, "turns of each, every time")
	flag.DurationVar(&o.Length, "time", 200*time.Millisecond, "length of a turn")
	record := flag.Duration("record", 5*time.Second, "length of each recording")
	compare := flag.Bool("compare", false, "measure the profile that there is; record none")
	flag.IntVar(&o.SourceCPU, "source-cpu", 0, "processor of the source")
	flag.IntVar(&o.CPU, "cpu", 1, "processor of the receiver")
	path := flag.String("o", "cmd/xrx/default.pgo", "the profile, from the repository's top folder")
	out := flag.String("out", "docs/bench/pgo.json", "result file")
	flag.Parse()
	if err := run(o, *sittings, *turns, *record, *compare, *path, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench-pgo:", err)
		os.Exit(1)
	}
}

func run(o rig.Options, sittings, turns int, length time.Duration, compare bool, path, out string) (err error) {
	if sittings < 1 {
		return fmt.Errorf("%d sittings: want 1 or more", sittings)
	}
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
	r := &result{Machine: lab.ThisMachine(), Turns: turns, Seconds: o.Length.Seconds()}
	g.Length = o.Length
	var cs []rig.Contender
	for _, b := range []struct{ name, bin string }{{"without", without}, {"with", with}} {
		for _, m := range []struct {
			mode  string
			loads []string
		}{{"off", []string{"udp64", "udp64"}}, {"on", []string{"udp64", "udp64", "tcp1500", "tcp1500"}}} {
			cs = append(cs, rig.Contender{Name: "GRO " + m.mode + ", " + b.name, Loads: m.loads, Of: func(g *rig.Rig) *rig.Program {
				return g.Run("", b.bin, "--gro "+m.mode)
			}})
		}
	}
	fmt.Fprintf(os.Stderr, "comparing: about %v\n", (time.Duration(sittings) * rig.SitTime(cs, turns, o.Length)).Round(time.Second))
	for range sittings {
		s, err := g.Sit(cs, turns, func() {})
		if err != nil {
			return err
		}
		r.Sittings = append(r.Sittings, s)
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

// print is the medians; docs/PERFORMANCE.md compares, sitting by sitting.
func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "xrx run built without and with its profile, in turn: medians of %d sittings of %d turns of %.1f s\n%s\n\n", len(r.Sittings), r.Turns, r.Seconds, r.Machine)
	for i, first := range r.Sittings[0].Seats {
		for _, load := range slices.Sorted(maps.Keys(first.Loads)) {
			var cpu lab.Samples
			for _, s := range r.Sittings {
				cpu = append(cpu, s.Seats[i].Loads[load].CPU...)
			}
			fmt.Fprintf(w, "  %-10s%-20s%9.1f ns a frame\n", load, first.Receiver, cpu.Median())
		}
	}
}
