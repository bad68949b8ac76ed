package perfdoc

import (
	"fmt"
	"slices"
	"strings"
)

func latencies(dir string, _ []string) (string, error) {
	var r struct {
		Machine machine `json:"machine"`
		Rounds  int     `json:"rounds"`
		Seconds float64 `json:"sample_s"`
		Loads   []struct {
			Name string  `json:"name"`
			Rate float64 `json:"rate_pps"`
		} `json:"loads"`
		Rows []struct {
			Receiver, Load string
			P50            float64 `json:"p50_us"`
			P99            float64 `json:"p99_us"`
			P999           float64 `json:"p99_9_us"`
			Max            float64 `json:"max_us"`
			CPU            float64 `json:"cpu_percent"`
			Loss           float64 `json:"loss_percent"`
			Late           float64 `json:"source_late_p99_us"`
		} `json:"rows"`
	}
	if err := read(dir, "latency.json", &r); err != nil {
		return "", err
	}
	b := r.Machine.from("latency.json", fmt.Sprintf("µs; medians of %d rounds of %g s, max of all; the last column is what the source itself was late", r.Rounds, r.Seconds))
	t := table("rate", "receiver", "p50", "p99", "p99.9", "max", "loss %", "CPU %", "source, p99")
	for _, l := range r.Loads {
		for _, x := range r.Rows {
			if x.Load == l.Name {
				t.row(short(l.Rate)+"/s", x.Receiver, micro(x.P50), micro(x.P99), micro(x.P999), micro(x.Max), num(x.Loss, 2), num(x.CPU, 0), micro(x.Late))
			}
		}
	}
	return b + t.String(), nil
}

type soak struct {
	Machine machine   `json:"machine"`
	Length  float64   `json:"length_s"`
	Runs    []soakRun `json:"runs"`
	Pass    bool      `json:"pass"`
	Alone   bool      `json:"pass_alone"`
}

type soakRun struct {
	Receiver string  `json:"receiver"`
	Median   float64 `json:"lost_percent_median"`
	Worst    float64 `json:"lost_percent_worst"`
	Clean    int     `json:"seconds_without_loss"`
	Stolen   float64 `json:"stolen_ms"`
	Alone    int     `json:"seconds_alone"` // 0 in older files: not measured
	WorstOf  float64 `json:"lost_percent_worst_alone"`
	GC       uint64  `json:"gc"`
	GCPause  float64 `json:"gc_pause_max_us"`
	Seconds  []struct {
		Received uint64 `json:"received"`
	} `json:"seconds"`
}

// compared returns xrx and the C loop.
func (s *soak) compared() (x, c soakRun, ok bool) {
	i := slices.IndexFunc(s.Runs, func(r soakRun) bool { return r.Receiver == groOff && len(r.Seconds) > 0 })
	j := slices.IndexFunc(s.Runs, func(r soakRun) bool { return r.Receiver == cPoll && len(r.Seconds) > 0 })
	if i < 0 || j < 0 {
		return x, c, false
	}
	return s.Runs[i], s.Runs[j], true
}

func soaks(dir string, _ []string) (string, error) {
	var s soak
	if err := read(dir, "soak.json", &s); err != nil {
		return "", err
	}
	t := table("", "seconds", "without loss", "lost in the median second, %", "in the worst, %", "stolen, ms", "in the worst with nothing stolen, %", "collections", "longest pause, µs")
	for _, r := range s.Runs {
		pause := ""
		if r.GC > 0 {
			pause = num(r.GCPause, 0)
		}
		stolen, alone := "", ""
		if r.Alone > 0 {
			stolen, alone = num(r.Stolen, 0), fmt.Sprintf("%.3f (of %d)", r.WorstOf, r.Alone)
		}
		t.row(r.Receiver, fmt.Sprint(len(r.Seconds)), fmt.Sprint(r.Clean), num(r.Median, 3), num(r.Worst, 3), stolen, alone, fmt.Sprint(r.GC), pause)
	}
	return s.Machine.from("soak.json", fmt.Sprintf("%.0f s each; loss is what the kernel dropped for want of a frame or of ring room", s.Length)) + t.String(), nil
}

// scales is the table of one curve: queues, flows or held.
func scales(dir string, args []string) (string, error) {
	var r struct {
		Machine machine `json:"machine"`
		Rounds  int     `json:"rounds"`
		Seconds float64 `json:"sample_s"`
		Points  []struct {
			Curve, Receiver string
			X               float64 `json:"x"`
			KPPS            float64 `json:"kpps"`
			Loss            float64 `json:"loss_percent"`
			NS              float64 `json:"cpu_ns_per_packet"`
		} `json:"points"`
	}
	if err := read(dir, "scale.json", &r); err != nil {
		return "", err
	}
	curve := strings.Join(args, " ")
	t := table(curve, "receiver", "kpps", "loss %", "CPU ns/packet")
	n := 0
	for _, p := range r.Points {
		if p.Curve == curve {
			n++
			t.row(short(p.X), p.Receiver, num(p.KPPS, 0), num(p.Loss, 2), num(p.NS, 1))
		}
	}
	if n == 0 {
		return "", fmt.Errorf("no curve %q in scale.json", curve)
	}
	return r.Machine.from("scale.json", fmt.Sprintf("medians of %d rounds of %g s", r.Rounds, r.Seconds)) + t.String(), nil
}

// profiled is one run of profile.json.
type profiled struct {
	Name, Load, Failed string
	Measured           float64 `json:"cpu_ns_per_packet"`
	Sum                float64 `json:"sampled_ns_per_packet"`
	Stages             []struct {
		Name, What string
		NS         float64 `json:"ns_per_packet"`
	} `json:"stages"`
}

func profiles(dir string, _ []string) (string, error) {
	var r struct {
		Machine machine    `json:"machine"`
		Seconds float64    `json:"sample_s"`
		Runs    []profiled `json:"runs"`
	}
	if err := read(dir, "profile.json", &r); err != nil {
		return "", err
	}
	runs := slices.DeleteFunc(r.Runs, func(x profiled) bool { return x.Failed != "" })
	if len(runs) == 0 {
		return "", fmt.Errorf("profile.json has no run that went well")
	}
	head := []string{"stage, ns per packet"}
	for _, x := range runs {
		head = append(head, x.Load+", "+x.Name)
	}
	t := table(append(head, "what")...)
	for i, s := range runs[0].Stages {
		cells := []string{s.Name}
		for _, x := range runs {
			cells = append(cells, num(x.Stages[i].NS, 1))
		}
		t.row(append(cells, s.What)...)
	}
	sum, measured := []string{"sum of samples"}, []string{"measured"}
	for _, x := range runs {
		sum, measured = append(sum, num(x.Sum, 1)), append(measured, num(x.Measured, 1))
	}
	t.row(append(sum, "")...)
	t.row(append(measured, "user and system, as the kernel accounted")...)
	return r.Machine.from("profile.json", fmt.Sprintf("perf cpu-clock, %g s each", r.Seconds)) + t.String(), nil
}

func pgos(dir string, _ []string) (string, error) {
	var d duel
	if err := read(dir, "pgo.json", &d); err != nil {
		return "", err
	}
	t := table("CPU per packet", "without", "with", "by sitting")
	for _, x := range []struct{ name, load string }{{"GRO off", "udp64"}, {"GRO on", "udp64"}, {"GRO on", "tcp1500"}} {
		if p := d.pair(x.name+", with", x.name+", without", x.load); len(p.xs) > 0 {
			with, without := p.medians(played.cost)
			t.row(x.load+", "+x.name, num(without, 1)+" ns", num(with, 1)+" ns", p.by(costTo(0)).String())
		}
	}
	return d.from("pgo.json") + t.String(), nil
}

// gro is gro.json.
type gro struct {
	Machine machine `json:"machine"`
	Rounds  int     `json:"rounds"`
	Engines []struct {
		Engine string `json:"engine"`
		Traces map[string]struct {
			NS     float64 `json:"median_ns"`
			Spread float64 `json:"spread_ns"`
		} `json:"traces"`
	} `json:"engines"`
	Targets []struct {
		Trace  string  `json:"trace"`
		Target float64 `json:"target_ns"`
		Got    float64 `json:"got_ns"`
		Met    bool    `json:"met"`
	} `json:"targets"`
	Flows []struct {
		Flows   float64 `json:"flows"`
		Flushed float64 `json:"flushed_ns"`
		Held    float64 `json:"held_ns"`
		Load    float64 `json:"load_ns"`
	} `json:"flows"`
}

// verified is the engine of gro.json that goals are about.
const verified = "xrx, verified"

func (g *gro) find(engine, trace string) float64 {
	for _, e := range g.Engines {
		if e.Engine == engine {
			return e.Traces[trace].NS
		}
	}
	return 0
}

func engines(dir string, _ []string) (string, error) {
	var g gro
	if err := read(dir, "gro.json", &g); err != nil {
		return "", err
	}
	traces := []string{}
	for _, t := range g.Targets {
		if !slices.Contains(traces, t.Trace) {
			traces = append(traces, t.Trace)
		}
	}
	t := table(append([]string{"ns per packet"}, traces...)...)
	line := func(name string, of func(trace string) string) {
		cells := []string{name}
		for _, k := range traces {
			cells = append(cells, of(k))
		}
		t.row(cells...)
	}
	for _, e := range g.Engines {
		line(e.Engine, func(k string) string {
			if x, ok := e.Traces[k]; ok {
				return spread(x.NS, x.Spread, 1)
			}
			return ""
		})
	}
	goal := func(f func(target, got float64, met bool) string) func(string) string {
		return func(k string) string {
			for _, x := range g.Targets {
				if x.Trace == k {
					return f(x.Target, x.Got, x.Met)
				}
			}
			return ""
		}
	}
	line("goal", goal(func(target, _ float64, _ bool) string { return num(target, 0) }))
	line("", goal(func(_, got float64, met bool) string { return num(got, 1) + ", " + verdict(met) }))
	return g.Machine.from("gro.json", fmt.Sprintf("medians of %d rounds", g.Rounds)) + t.String(), nil
}

func groFlows(dir string, _ []string) (string, error) {
	var g gro
	if err := read(dir, "gro.json", &g); err != nil {
		return "", err
	}
	t := table("flows", "flushed after each burst, ns/packet", "all held, ns/packet", "one dependent load in such memory, ns")
	for _, f := range g.Flows {
		t.row(short(f.Flows), num(f.Flushed, 0), num(f.Held, 0), num(f.Load, 1))
	}
	return g.Machine.from("gro.json", "64-byte payloads, checksums verified") + t.String(), nil
}
