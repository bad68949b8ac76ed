// Command soak runs receivers for a long time at the full rate of live frames, prints what each lost second by second, and
// beside xrx's the pauses of its garbage collector. It writes docs/bench/soak.json and soak.svg. It needs root.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"xrx/bench/internal/figure"
	"xrx/bench/internal/lab"
	"xrx/bench/internal/rig"
)

// second is what happened in one second. Loss is what the kernel dropped for want of a frame or of ring room.
type second struct {
	At       float64 `json:"at_s"`
	Received uint64  `json:"received"`
	Lost     uint64  `json:"lost"`
	Percent  float64 `json:"lost_percent"`
	GC       uint64  `json:"gc"`
	GCPause  float64 `json:"gc_pause_max_us"`
	Stolen   float64 `json:"stolen_ms"` // for so long the host gave the receiver's processor to somebody else
}

// run is one receiver's.
type run struct {
	Receiver string     `json:"receiver"`
	Seconds  []second   `json:"seconds"`
	Failed   string     `json:"failed,omitempty"`
	Sample   rig.Sample `json:"sample"`
	// Of all seconds:
	Median float64 `json:"lost_percent_median"`
	Worst  float64 `json:"lost_percent_worst"`
	Clean  int     `json:"seconds_without_loss"`
	Stolen float64 `json:"stolen_ms"`
	// Of those in which the host left the processor alone:
	Alone      int     `json:"seconds_alone"`
	WorstAlone float64 `json:"lost_percent_worst_alone"`
	// Of all again:
	GC      uint64  `json:"gc"`
	GCPause float64 `json:"gc_pause_max_us"`
}

type result struct {
	Machine lab.Machine `json:"machine"`
	Length  float64     `json:"length_s"`
	Load    rig.Load    `json:"load"`
	Runs    []*run      `json:"runs"`
	// No second of xrx lost a larger part than the C loop's worst; the same of seconds in which the host left the processor alone.
	Pass      bool `json:"pass"`
	PassAlone bool `json:"pass_alone"`

	Skipped []string `json:"skipped"`
}

const reference, xrxRow = "C libxdp, poll", "xrx, GRO off"

func main() {
	o := rig.Options{Tries: 1, Most: 100}
	flag.DurationVar(&o.Length, "time", time.Minute, "length for each receiver")
	flag.IntVar(&o.SourceCPU, "source-cpu", 0, "processor of the source")
	flag.IntVar(&o.CPU, "cpu", 1, "processor of the receiver")
	quick := flag.Bool("quick", false, "10 s each")
	out := flag.String("out", "docs/bench/soak", "result files, without .json and .svg")
	flag.Parse()
	if *quick {
		o.Length = 10 * time.Second
	}
	if err := soak(o, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench-soak:", err)
		os.Exit(1)
	}
}

func soak(o rig.Options, out string) (err error) {
	g, err := rig.New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	r := &result{Machine: lab.ThisMachine(), Length: o.Length.Seconds(), Load: rig.Loads[0], Skipped: g.Skipped}
	rs := []*rig.Program{g.LoopOf(xrxRow, "xrx", "-seconds"),
		g.LoopOf("xrx, GRO off, a collection each 100 ms", "xrx", "-seconds", "-collect", "100ms")}
	if c := g.C("poll", "seconds"); c != nil {
		rs = append([]*rig.Program{c}, rs...)
	}
	fmt.Fprintf(os.Stderr, "%d receivers, %v each: about %v\n", len(rs), o.Length, time.Duration(len(rs))*(o.Length+time.Second))
	for _, p := range rs {
		length := o.Length
		if strings.Contains(p.Name(), "collection") { // not what anybody runs: a part of the time is enough
			length = o.Length / 3
		}
		x := watch(g, p, r.Load, length)
		r.Runs = append(r.Runs, x)
		x.print(os.Stdout)
	}
	r.judge()
	r.print(os.Stdout)
	path, err := lab.Save(out+".json", r)
	if err != nil {
		return err
	}
	fmt.Println("\nwritten to", path)
	return r.draw(out + ".svg")
}

// watch runs one receiver and collects its lines.
func watch(g *rig.Rig, p *rig.Program, l rig.Load, length time.Duration) *run {
	x := &run{Receiver: p.Name()}
	type line struct {
		At      int64   `json:"at"`
		Packets *uint64 `json:"packets"`
		Dropped *uint64 `json:"dropped"`
		GC      uint64  `json:"gc"`
		Pause   float64 `json:"gc_pause_max"`
	}
	var mu sync.Mutex
	var last *line
	var stolen time.Duration
	p.Each(func(text string) {
		var n line
		if json.Unmarshal([]byte(text), &n) != nil || n.Dropped == nil || n.Packets == nil {
			return
		}
		took, _ := rig.Stolen(g.CPU)
		mu.Lock()
		defer mu.Unlock()
		before := stolen
		stolen = took
		if last != nil && *n.Packets > *last.Packets {
			s := second{Received: *n.Packets - *last.Packets, Lost: *n.Dropped - *last.Dropped, GC: n.GC, GCPause: 1e6 * n.Pause, Stolen: (took - before).Seconds() * 1e3}
			s.Percent = 100 * float64(s.Lost) / float64(s.Received+s.Lost)
			s.At = float64(n.At-last.At) / 1e9
			if k := len(x.Seconds); k > 0 {
				s.At += x.Seconds[k-1].At
			}
			x.Seconds = append(x.Seconds, s)
		}
		last = &n
	})
	g.Length = length
	s, err := g.Undisturbed(p, l)
	mu.Lock()
	defer mu.Unlock()
	if err != nil {
		x.Failed = err.Error()
		return x
	}
	x.Sample = s
	var v lab.Samples
	for _, s := range x.Seconds {
		v = append(v, s.Percent)
		x.Worst = max(x.Worst, s.Percent)
		x.GC += s.GC
		x.GCPause = max(x.GCPause, s.GCPause)
		x.Stolen += s.Stolen
		if s.Lost == 0 {
			x.Clean++
		}
		if s.Stolen == 0 {
			x.Alone++
			x.WorstAlone = max(x.WorstAlone, s.Percent)
		}
	}
	x.Median = v.Median()
	return x
}

func (r *result) judge() {
	var c, x *run
	for _, n := range r.Runs {
		switch n.Receiver {
		case reference:
			c = n
		case xrxRow:
			x = n
		}
	}
	if c != nil && x != nil {
		r.Pass = len(x.Seconds) > 0 && len(c.Seconds) > 0 && x.Worst <= c.Worst
		r.PassAlone = x.Alone > 0 && c.Alone > 0 && x.WorstAlone <= c.WorstAlone
	}
}

func (x *run) print(w io.Writer) {
	if x.Failed != "" {
		fmt.Fprintf(w, "\n%s failed: %s\n", x.Receiver, x.Failed)
		return
	}
	fmt.Fprintf(w, "\n%s: lost of each second, percent\n", x.Receiver)
	for i, s := range x.Seconds {
		fmt.Fprintf(w, "%8.3f", s.Percent)
		if i%10 == 9 || i == len(x.Seconds)-1 {
			fmt.Fprintln(w)
		}
	}
}

func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "\nLoss by second, %s, %.0f s\n%s\n  %-42s%9s%9s%10s%10s%12s%18s%12s%6s%14s\n", r.Load.Name, r.Length, r.Machine, "", "kpps", "loss %", "median s", "worst s", "clean s", "worst, 0 stolen", "stolen, ms", "GCs", "GC pause, us")
	for _, x := range r.Runs {
		if x.Failed == "" {
			fmt.Fprintf(w, "  %-42s%9.0f%9.3f%10.3f%10.3f%12s%18s%12.0f%6d%14.0f\n", x.Receiver, x.Sample.PPS()/1e3, x.Sample.Loss(), x.Median, x.Worst, fmt.Sprintf("%d of %d", x.Clean, len(x.Seconds)),
				fmt.Sprintf("%.3f of %d", x.WorstAlone, x.Alone), x.Stolen, x.GC, x.GCPause)
		}
	}
	verdict := map[bool]string{true: "pass", false: "MISS"}
	fmt.Fprintf(w, "no second of xrx above the C loop's worst: %s; of seconds in which the host left the processor alone: %s\n", verdict[r.Pass], verdict[r.PassAlone])
}

func (r *result) draw(path string) error {
	loss := figure.Panel{Title: "Packets lost by second, full rate of live frames", X: "time, s", Y: "lost, % of the second's packets"}
	rate := figure.Panel{Title: "Packets received by second", X: "time, s", Y: "million packets per second"}
	for _, x := range r.Runs {
		l, p := figure.Line{Name: x.Receiver}, figure.Line{Name: x.Receiver}
		for _, s := range x.Seconds {
			l.X, l.Y = append(l.X, s.At), append(l.Y, s.Percent)
			p.X, p.Y = append(p.X, s.At), append(p.Y, float64(s.Received)/1e6)
		}
		loss.Lines, rate.Lines = append(loss.Lines, l), append(rate.Lines, p)
	}
	return figure.Save(path, loss, rate)
}
