// Command duel measures what goals compare. A virtual machine is faster in one minute than in the next by more than
// receivers differ, and the same program started twice can differ by some percent. So all
// receivers are started, each on a veth pair of its own, and stopped but for their turns of a fraction of a second, in an order that is
// drawn anew each time: what is compared was measured within seconds. Then all are started anew, for another sitting. The C loop is
// there twice: what it differs from itself is what a comparison can't see. It writes docs/bench/duel.json. It needs root.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"xrx/bench/internal/lab"
	"xrx/bench/internal/rig"
	"xrx/internal/progress"
)

// contenders are all that goals are about, and the C loop once more.
func contenders(g *rig.Rig) (cs []rig.Contender, skipped []string) {
	flood, trickles := []string{"udp64", "udp64"}, []string{"xsk64", "xsk1500", "packet64", "packet1500"}
	run := func(flags string) func(*rig.Rig) *rig.Program {
		return func(g *rig.Rig) *rig.Program { return g.Run("", "", flags) }
	}
	c := func(more ...string) func(*rig.Rig) *rig.Program {
		return func(g *rig.Rig) *rig.Program { return g.C(more[0], more[1:]...) }
	}
	if g.CXSK != "" {
		cs = append(cs, rig.Contender{Name: "C libxdp, busy", Loads: flood, Of: c("busy")}, rig.Contender{Name: "C libxdp, busy, once more", Loads: flood, Of: c("busy")},
			rig.Contender{Name: "C libxdp, busy, with metadata", Loads: flood, Of: c("busy", "meta")}, rig.Contender{Name: "C libxdp, poll", Loads: flood, Of: c("poll")},
			rig.Contender{Name: "C libxdp, poll", Loads: []string{"tcp1500", "tcp1500"}, Of: c("poll")})
	}
	if _, err := exec.LookPath("dpdk-testpmd"); err != nil {
		skipped = append(skipped, "DPDK testpmd: "+err.Error()+" (Debian: apt-get install dpdk)")
	} else {
		cs = append(cs, rig.Contender{Name: "DPDK testpmd, net_af_xdp", Loads: flood, Of: (*rig.Rig).Testpmd})
	}
	return append(cs,
		rig.Contender{Name: "xrx, GRO off, busy", Loads: flood, Of: run("--gro off --busy")},
		rig.Contender{Name: "xrx, GRO off, no metadata, busy", Loads: flood, Of: run("--gro off --busy --no-meta")},
		rig.Contender{Name: "xrx, GRO off", Loads: flood, Of: run("--gro off")},
		rig.Contender{Name: "xrx, GRO on", Loads: []string{"tcp1500", "tcp1500"}, Of: run("--gro on")},
		rig.Contender{Name: "xrx, GRO off", Loads: trickles, Of: run("--gro off")},
		rig.Contender{Name: "xrx, GRO off, busy", Loads: trickles, Of: run("--gro off --busy")},
	), skipped
}

func main() {
	o := rig.Options{}
	sittings := flag.Int("sittings", 12, "times that all are started anew")
	turns := flag.Int("turns", 5, "turns of each, every time")
	flag.DurationVar(&o.Length, "time", 200*time.Millisecond, "length of a turn")
	flag.IntVar(&o.SourceCPU, "source-cpu", 0, "processor of the source, and of the kernel's side of the veth pairs")
	flag.IntVar(&o.CPU, "cpu", 1, "processor of the receivers")
	out := flag.String("out", "docs/bench/duel.json", "result file")
	flag.StringVar(&o.XRX, "xrx", "", "measure this xrx instead of the one that is built from this repository")
	show := progress.Auto
	flag.Var(&show, "progress", progress.Help)
	quick := flag.Bool("quick", false, "one sitting of two turns")
	flag.Parse()
	if *quick {
		*sittings, *turns = 1, 2
	}
	if err := run(o, *sittings, *turns, *out, show); err != nil {
		fmt.Fprintln(os.Stderr, "bench-duel:", err)
		os.Exit(1)
	}
}

func run(o rig.Options, sittings, turns int, out string, show progress.When) (err error) {
	if sittings < 1 {
		return fmt.Errorf("%d sittings: want 1 or more", sittings)
	}
	r := &result{Machine: lab.ThisMachine(), SourceCPU: o.SourceCPU, ReceiverCPU: o.CPU, Turns: turns, Seconds: o.Length.Seconds()}
	g, err := rig.New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	cs, skipped := contenders(g)
	r.Skipped = append(g.Skipped, skipped...)
	for _, s := range r.Skipped {
		fmt.Fprintln(os.Stderr, "skipped", s)
	}
	samples := 0
	for _, c := range cs {
		samples += turns * len(c.Loads)
	}
	fmt.Fprintf(os.Stderr, "%d receivers, %d sittings of %d turns of %v: about %v\n", len(cs), sittings, turns, o.Length, (time.Duration(sittings) * rig.SitTime(cs, turns, o.Length)).Round(time.Second))
	var done atomic.Int64
	line := progress.Start(progress.Config{When: show, Out: os.Stderr, Redraw: time.Second, State: func() progress.State {
		return progress.State{What: "duel", Part: float64(done.Load()) / float64(max(1, sittings*samples))}
	}})
	defer line.Stop()
	stderr := line.Over(os.Stderr)
	for i := range sittings {
		s, err := g.Sit(cs, turns, func() { done.Add(1) })
		if err != nil {
			return err
		}
		r.Sittings = append(r.Sittings, s)
		fmt.Fprintf(stderr, "sitting %d of %d\n", i+1, sittings)
	}
	line.Stop()
	r.print(os.Stdout)
	path, err := lab.Save(out, r)
	if err == nil {
		fmt.Println("\nwritten to", path)
	}
	return err
}
