// Command duel measures what goals compare. A virtual machine is faster in one minute than in the next by more than
// receivers differ, and the same program started twice differs by some percent, by where its memory came to lie. So all
// receivers are started, each on a veth pair of its own, and stopped but for their turns of a fraction of a second, in an order that is
// drawn anew each time: what is compared was measured within seconds. Then all are started anew, for another sitting. The C loop is
// there twice: what it differs from itself is what a comparison can't see. It writes docs/bench/duel.json. It needs root.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"xrx/bench/internal/lab"
	"xrx/bench/internal/rig"
	"xrx/internal/progress"
)

// contender is a receiver with the loads that it takes turns under, some more than once.
type contender struct {
	name  string
	loads []string
	of    func(*rig.Rig) *rig.Program
}

// contenders are all that goals are about, and the C loop once more.
func contenders(g *rig.Rig) (cs []contender, skipped []string) {
	flood, trickles := []string{"udp64", "udp64"}, []string{"xsk64", "xsk1500", "packet64", "packet1500"}
	run := func(flags string) func(*rig.Rig) *rig.Program {
		return func(g *rig.Rig) *rig.Program { return g.Run("", "", flags) }
	}
	c := func(more ...string) func(*rig.Rig) *rig.Program {
		return func(g *rig.Rig) *rig.Program { return g.C(more[0], more[1:]...) }
	}
	if g.CXSK != "" {
		cs = append(cs, contender{"C libxdp, busy", flood, c("busy")}, contender{"C libxdp, busy, once more", flood, c("busy")},
			contender{"C libxdp, busy, with metadata", flood, c("busy", "meta")}, contender{"C libxdp, poll", flood, c("poll")},
			contender{"C libxdp, poll", []string{"tcp1500", "tcp1500"}, c("poll")})
	}
	if _, err := exec.LookPath("dpdk-testpmd"); err != nil {
		skipped = append(skipped, "DPDK testpmd: "+err.Error()+" (Debian: apt-get install dpdk)")
	} else {
		cs = append(cs, contender{"DPDK testpmd, net_af_xdp", flood, (*rig.Rig).Testpmd})
	}
	return append(cs,
		contender{"xrx, GRO off, busy", flood, run("--gro off --busy")},
		contender{"xrx, GRO off, no metadata, busy", flood, run("--gro off --busy --no-meta")},
		contender{"xrx, GRO off", flood, run("--gro off")},
		contender{"xrx, GRO on", []string{"tcp1500", "tcp1500"}, run("--gro on")},
		contender{"xrx, GRO off", trickles, run("--gro off")},
		contender{"xrx, GRO off, busy", trickles, run("--gro off --busy")},
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
		samples += turns * len(c.loads)
	}
	// Around a turn the source starts and ends; a receiver takes a second to start.
	each := time.Duration(samples)*(o.Length+120*time.Millisecond) + time.Duration(len(cs))*time.Second
	fmt.Fprintf(os.Stderr, "%d receivers, %d sittings of %d turns of %v: about %v\n", len(cs), sittings, turns, o.Length, (time.Duration(sittings) * each).Round(time.Second))
	var done atomic.Int64
	line := progress.Start(progress.Config{When: show, Out: os.Stderr, Redraw: time.Second, State: func() progress.State {
		return progress.State{What: "duel", Part: float64(done.Load()) / float64(max(1, sittings*samples))}
	}})
	defer line.Stop()
	stderr := line.Over(os.Stderr)
	for i := range sittings {
		s, err := sit(g, cs, turns, &done)
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

// sit starts all receivers, and has them take turns.
func sit(g *rig.Rig, cs []contender, turns int, done *atomic.Int64) (s sitting, err error) {
	seats := make([]*rig.Seat, len(cs))
	defer func() {
		for i, seat := range seats {
			if seat == nil {
				continue
			}
			c, e := seat.Leave()
			if e != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", cs[i].name, e))
			}
			s.Seats[i].Received = c.Packets
		}
	}()
	type turn struct {
		seat int
		load rig.Load
	}
	var all []turn
	for i, c := range cs {
		s.Seats = append(s.Seats, seat{Receiver: c.name, Loads: map[string]*samples{}})
		for _, name := range c.loads {
			l, err := rig.Pick(name)
			if err != nil {
				return s, err
			}
			all = append(all, turn{i, l[0]})
			s.Seats[i].Loads[name] = &samples{}
		}
		if seats[i], err = g.Seat(c.of); err != nil {
			return s, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	for range turns {
		s.Crossing = append(s.Crossing, round(lab.Crossing(g.SourceCPU, g.CPU)))
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, t := range all {
			x, err := seats[t.seat].Turn(t.load)
			if err != nil {
				return s, fmt.Errorf("%s: %w", cs[t.seat].name, err)
			}
			s.Seats[t.seat].add(t.load.Name, x)
			done.Add(1)
		}
	}
	return s, nil
}
