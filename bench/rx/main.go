// Command rx measures AF_XDP receivers and their like side by side, on one veth pair between two network namespaces: each
// receiver once under each load, then again, for several rounds. It builds what it needs, prints packets per second, loss
// and the receiver's processor time per packet, and writes docs/bench/rx.json. It needs root.
//
// Not every receiver is measured under every load: all under udp64 and tcp1500; the C loops and xrx under the other live
// loads; these and the waiting modes under loads that trickle (AF_XDP transmit, sendmmsg). What goals compare is command duel's.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"xrx/bench/internal/lab"
	"xrx/bench/internal/rig"
	"xrx/internal/progress"
)

func main() {
	o := rig.Options{}
	rounds := flag.Int("rounds", 3, "rounds over all receivers and loads")
	flag.DurationVar(&o.Length, "time", time.Second, "length of one sample")
	flag.Float64Var(&o.Most, "others", 20, "repeat a sample while other programs took more than this many percent of its processors")
	flag.IntVar(&o.Tries, "tries", 2, "but not more often than this; the least disturbed one counts")
	flag.IntVar(&o.SourceCPU, "source-cpu", 0, "processor of the source, and of the kernel's side of the veth pair")
	flag.IntVar(&o.CPU, "cpu", 1, "processor of the receiver")
	only := flag.String("only", "", "measure only receivers with one of these, comma separated, in their names")
	all := flag.Bool("all", false, "every receiver under every load")
	loads := flag.String("loads", "udp64,tcp1500,udp64x1,udp64x10k,udp512,udp1500,tcp1500x1,xsk64,xsk1500,packet64,packet1500", "loads, comma separated")
	out := flag.String("out", "docs/bench/rx.json", "result file")
	flag.StringVar(&o.XRX, "xrx", "", "measure this xrx instead of the one that is built from this repository")
	flag.StringVar(&o.Flags, "xrx-flags", "", "more flags for xrx run, like '--frames 1024'")
	show := progress.Auto
	flag.Var(&show, "progress", progress.Help)
	quick := flag.Bool("quick", false, "one round of short samples under a few loads")
	flag.Parse()
	if *quick {
		*rounds, o.Length, o.Tries, *loads = 1, 500*time.Millisecond, 1, "udp64,tcp1500,xsk64,packet64"
	}
	if err := run(o, *rounds, *loads, *only, *out, *all, show); err != nil {
		fmt.Fprintln(os.Stderr, "bench-rx:", err)
		os.Exit(1)
	}
}

func run(o rig.Options, rounds int, names, only, out string, all bool, show progress.When) (err error) {
	r := &result{Machine: lab.ThisMachine(), SourceCPU: o.SourceCPU, ReceiverCPU: o.CPU, Rounds: rounds, Seconds: o.Length.Seconds()}
	if r.Loads, err = rig.Pick(names); err != nil {
		return err
	}
	g, err := rig.New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	rs := rig.Only(g.Receivers(), only)
	r.Skipped = g.Skipped
	for _, s := range r.Skipped {
		fmt.Fprintln(os.Stderr, "skipped", s)
	}
	var todo []pair
	for _, l := range r.Loads {
		for _, rx := range rs {
			if all || only != "" || measured(rx.Name(), l) {
				todo = append(todo, pair{rx, l})
			}
		}
	}
	most := rounds * len(todo)
	fmt.Fprintf(os.Stderr, "%d receivers under loads, %d rounds of %v: about %v\n", len(todo), rounds, o.Length, (time.Duration(most) * (o.Length + rig.Around)).Round(time.Second))
	var now atomic.Pointer[progress.State]
	now.Store(&progress.State{What: "rx"})
	line := progress.Start(progress.Config{When: show, Out: os.Stderr, Redraw: time.Second, State: func() progress.State { return *now.Load() }})
	defer line.Stop()
	stderr := line.Over(os.Stderr)
	for round, done := 1, 0; round <= rounds; round++ {
		for _, p := range todo {
			now.Store(&progress.State{What: fmt.Sprintf("rx, round %d of %d, %s: %s", round, rounds, p.load.Name, p.rx.Name()), Part: float64(done) / float64(most)})
			done++
			c := r.cell(p.rx.Name(), p.load.Name)
			s, err := g.Undisturbed(p.rx, p.load)
			if err != nil {
				c.Failed = err.Error()
				fmt.Fprintf(stderr, "%s, %s: %v\n", p.rx.Name(), p.load.Name, err)
			} else {
				c.add(s)
			}
		}
		fmt.Fprintf(stderr, "round %d of %d\n", round, rounds)
		slices.Reverse(todo) // nobody is always first
	}
	line.Stop()
	r.LoadAfter = lab.Load()
	r.print(os.Stdout)
	path, err := lab.Save(out, r)
	if err == nil {
		fmt.Println("\nwritten to", path)
	}
	return err
}

// pair is a receiver under a load.
type pair struct {
	rx   rig.Receiver
	load rig.Load
}

// measured says whether a receiver is measured under a load by default.
func measured(name string, l rig.Load) bool {
	switch {
	case l.Name == "udp64" || l.Name == "tcp1500":
		return true
	case strings.HasPrefix(name, "C libxdp"), name == xrxAdaptive, name == xrxBusy:
		return true
	case l.Engine != "live":
		return name == "xrx, GRO off, wake for every packet"
	}
	return name == "xrx, GRO on" || strings.HasPrefix(name, "XDP_DROP") && l.Size != 64 && l.Proto == "udp"
}

const (
	xrxAdaptive = "xrx, GRO off"
	xrxBusy     = "xrx, GRO off, busy"
)
