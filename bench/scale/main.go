// Command scale measures how the receiver behaves with more queues, more flows, and frames that a consumer holds, and
// writes the curves: docs/bench/scale.json, queues.svg, flows.svg, held.svg. It needs root.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"xrx/bench/internal/figure"
	"xrx/bench/internal/lab"
	"xrx/bench/internal/rig"
)

// point is one receiver at one place of a curve: medians.
type point struct {
	Curve    string       `json:"curve"`
	Receiver string       `json:"receiver"`
	X        float64      `json:"x"`
	Samples  []rig.Sample `json:"samples"`
	Failed   string       `json:"failed,omitempty"`
	KPPS     float64      `json:"kpps"`
	Loss     float64      `json:"loss_percent"`
	NS       float64      `json:"cpu_ns_per_packet"`
}

type result struct {
	Machine lab.Machine `json:"machine"`
	Rounds  int         `json:"rounds"`
	Seconds float64     `json:"sample_s"`
	Points  []*point    `json:"points"`
}

// step is what is to be measured for one point.
type step struct {
	curve    string
	x        float64
	queues   int
	load     rig.Load
	receiver func(*rig.Rig) *rig.Program
}

func live(proto string, size, flows, burst int) rig.Load {
	return rig.Load{Engine: "live", Proto: proto, Size: size, Flows: flows, Burst: burst}
}

// steps are the curves, ordered by the network that they need.
func steps() (list []step) {
	for _, flows := range []int{1, 10, 100, 1000, 10_000, 100_000, 1_000_000} {
		for _, r := range []struct{ name, proto, flags string }{
			{"xrx, GRO off, UDP", "udp", "--gro off"},
			{"xrx, GRO on, UDP", "udp", "--gro on"},
			{"xrx, GRO on, TCP", "tcp", "--gro on --gro-flows 65536"},
		} {
			list = append(list, step{"flows", float64(flows), 1, live(r.proto, 128, flows, 1), func(g *rig.Rig) *rig.Program { return g.Run(r.name, "", r.flags) }})
		}
	}
	for _, held := range []int{0, 10, 20, 30, 40, 50, 60, 70, 80, 90} {
		list = append(list, step{"held", float64(held), 1, live("udp", 64, 64, 1), func(g *rig.Rig) *rig.Program {
			return g.LoopOf("xrx, GRO off", "xrx", "-held", fmt.Sprint(held))
		}})
	}
	// sendmmsg chooses the queue by flow; live frames have that of their processor alone.
	for _, queues := range []int{1, 2, 4} {
		for _, r := range []struct{ name, flags string }{{"xrx, GRO off", "--gro off"}, {"xrx, GRO off, busy", "--gro off --busy"}} {
			list = append(list, step{"queues", float64(queues), queues, rig.Load{Engine: "packet", Proto: "udp", Size: 64, Flows: 256, Burst: 1},
				func(g *rig.Rig) *rig.Program { return g.Run(r.name, "", r.flags) }})
		}
	}
	for _, t := range []struct {
		x           float64
		name, flags string
	}{{4, "xrx, GRO off", "--threads 4"}, {2, "xrx, GRO off", "--threads 2"}, {1, "xrx, GRO off", "--threads 1"}, {1, "xrx, GRO off, --shared-umem", "--threads 1 --shared-umem"}} {
		list = append(list, step{"threads", t.x, 4, rig.Load{Engine: "packet", Proto: "udp", Size: 64, Flows: 256, Burst: 1},
			func(g *rig.Rig) *rig.Program { return g.Run(t.name, "", "--gro off "+t.flags) }})
	}
	return list
}

func main() {
	o := rig.Options{Tries: 1, Most: 30}
	rounds := flag.Int("rounds", 2, "rounds over all points")
	flag.DurationVar(&o.Length, "time", 700*time.Millisecond, "length of one sample")
	flag.IntVar(&o.SourceCPU, "source-cpu", 0, "processor of the source")
	flag.IntVar(&o.CPU, "cpu", 1, "processor of the receiver")
	quick := flag.Bool("quick", false, "one round of short samples")
	out := flag.String("out", "docs/bench", "folder for the results")
	flag.Parse()
	if *quick {
		*rounds, o.Length = 1, 300*time.Millisecond
	}
	if err := run(o, *rounds, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench-scale:", err)
		os.Exit(1)
	}
}

func run(o rig.Options, rounds int, out string) (err error) {
	g, err := rig.New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	r := &result{Machine: lab.ThisMachine(), Rounds: rounds, Seconds: o.Length.Seconds()}
	todo := steps()
	fmt.Fprintf(os.Stderr, "%d points, %d rounds of %v: about %v\n", len(todo), rounds, o.Length, (time.Duration(rounds*len(todo)) * (o.Length + rig.Around)).Round(time.Second))
	for round := range rounds {
		for _, s := range todo {
			if s.queues != g.Queues {
				if err := g.Rebuild(s.queues); err != nil {
					return err
				}
			}
			rx := s.receiver(g)
			p := r.point(s.curve, rx.Name(), s.x)
			m, err := g.Undisturbed(rx, s.load)
			if err != nil {
				p.Failed = err.Error()
				fmt.Fprintf(os.Stderr, "%s, %s %v: %v\n", rx.Name(), s.curve, s.x, err)
				continue
			}
			p.add(m)
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, rounds)
	}
	r.print(os.Stdout)
	path, err := lab.Save(filepath.Join(out, "scale.json"), r)
	if err != nil {
		return err
	}
	fmt.Println("\nwritten to", path)
	for _, c := range curves {
		if err := r.draw(filepath.Join(out, c.name+".svg"), c); err != nil {
			return err
		}
	}
	return nil
}

func (r *result) point(curve, receiver string, x float64) *point {
	for _, p := range r.Points {
		if p.Curve == curve && p.Receiver == receiver && p.X == x {
			return p
		}
	}
	p := &point{Curve: curve, Receiver: receiver, X: x}
	r.Points = append(r.Points, p)
	return p
}

func (p *point) add(s rig.Sample) {
	p.Samples = append(p.Samples, s)
	var kpps, loss, ns lab.Samples
	for _, s := range p.Samples {
		kpps, loss, ns = append(kpps, s.PPS()/1e3), append(loss, s.Loss()), append(ns, s.Cost())
	}
	p.KPPS, p.Loss, p.NS = kpps.Median(), loss.Median(), ns.Median()
}

// curve is one figure.
type curve struct {
	name, x string
	log     bool
}

var curves = []curve{
	{"flows", "flows, 128-byte packets, live frames", true},
	{"held", "frames held by the consumer, % of the UMEM", false},
	{"queues", "rx queues, one thread each, all on one processor; sendmmsg", false},
	{"threads", "threads for four queues, all on one processor; sendmmsg", false},
}

func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "Scaling: median of %d rounds of %.1f s\n%s\n", r.Rounds, r.Seconds, r.Machine)
	for _, c := range curves {
		fmt.Fprintf(w, "\n%s\n", c.x)
		for _, p := range r.Points {
			switch {
			case p.Curve != c.name:
			case len(p.Samples) == 0:
				fmt.Fprintf(w, "  %10s  %-24s failed: %s\n", figure.Short(p.X), p.Receiver, p.Failed)
			default:
				fmt.Fprintf(w, "  %10s  %-24s%8.0f kpps%8.2f %% lost%8.1f ns/packet\n", figure.Short(p.X), p.Receiver, p.KPPS, p.Loss, p.NS)
			}
		}
	}
}

// draw has the processor time, the rate and the loss below each other.
func (r *result) draw(path string, c curve) error {
	cost := figure.Panel{Title: "Processor time", X: c.x, Y: "receiver CPU, ns per packet", LogX: c.log}
	rate := figure.Panel{Title: "Rate", X: c.x, Y: "million packets per second", LogX: c.log}
	loss := figure.Panel{Title: "Loss", X: c.x, Y: "lost, %", LogX: c.log}
	lines := map[string]int{}
	for _, p := range r.Points {
		if p.Curve != c.name || len(p.Samples) == 0 {
			continue
		}
		i, ok := lines[p.Receiver]
		if !ok {
			i = len(cost.Lines)
			lines[p.Receiver] = i
			for _, q := range []*figure.Panel{&cost, &rate, &loss} {
				q.Lines = append(q.Lines, figure.Line{Name: p.Receiver})
			}
		}
		for _, v := range []struct {
			q *figure.Panel
			y float64
		}{{&cost, p.NS}, {&rate, p.KPPS / 1e3}, {&loss, p.Loss}} {
			l := &v.q.Lines[i]
			l.X, l.Y = append(l.X, p.X), append(l.Y, v.y)
		}
	}
	return figure.Save(path, cost, rate, loss)
}
