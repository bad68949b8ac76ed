// Command rx measures AF_XDP receivers and their like side by side, on one veth pair between two network namespaces: each
// receiver once under each load, then again, for several rounds. It builds what it needs, prints packets per second, loss
// and the receiver's processor time per packet, and writes bench/out/rx.json. It needs root.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"xrx/bench/internal/lab"
	"xrx/internal/vethnet"
)

type options struct {
	rounds, tries    int
	most             float64
	length           time.Duration
	source, receiver int
	only, loads, out string
	xrx, flags       string
	loop, iface      string
	urgent           bool
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "rounds over all receivers and loads")
	flag.DurationVar(&o.length, "time", 2*time.Second, "length of one sample")
	flag.Float64Var(&o.most, "others", 20, "repeat a sample while other programs took more than this many percent of its processors")
	flag.IntVar(&o.tries, "tries", 4, "but not more often than this; the least disturbed one counts")
	flag.IntVar(&o.source, "source-cpu", 0, "processor of the source, and of the kernel's side of the veth pair")
	flag.IntVar(&o.receiver, "cpu", 1, "processor of the receiver")
	flag.StringVar(&o.only, "only", "", "measure only receivers with one of these, comma separated, in their names")
	flag.StringVar(&o.loads, "loads", "udp64,udp512,udp1500,tcp1500", "loads, comma separated; also xsk64, packet64, udp64x10k")
	flag.StringVar(&o.out, "out", "rx.json", "result file in bench/out")
	flag.StringVar(&o.xrx, "xrx", "", "measure this xrx instead of the one that is built from this repository")
	flag.StringVar(&o.flags, "xrx-flags", "", "more flags for xrx run, like '--frames 1024'")
	flag.BoolVar(&o.urgent, "urgent", true, "run source and receivers at nice -20")
	flag.StringVar(&o.loop, "loop", "", "be a receive loop: asavie or afpacket (used by this program itself)")
	flag.StringVar(&o.iface, "iface", "", "interface of -loop")
	flag.Parse()
	var err error
	if o.loop != "" {
		err = runLoop(o.loop, o.iface, o.receiver)
	} else {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-rx:", err)
		os.Exit(1)
	}
}

func run(o options) (err error) {
	runtime.LockOSThread() // children are killed when the thread that started them ends
	if o.urgent {
		restore, err := lab.Urgent()
		if err != nil {
			return err
		}
		defer restore()
	}
	for _, tool := range []string{"taskset", "stdbuf"} {
		if _, err := exec.LookPath(tool); err != nil {
			return err
		}
	}
	r := &result{Machine: lab.ThisMachine(), SourceCPU: o.source, ReceiverCPU: o.receiver, Rounds: o.rounds, Seconds: o.length.Seconds()}
	if r.Loads, err = pick(o.loads); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "xrx-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	xrx := o.xrx
	if xrx == "" {
		if xrx, err = buildXRX(dir); err != nil {
			return err
		}
	}
	n, err := vethnet.Build(vethnet.Options{PeerXDP: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	rs, skipped, err := receivers(n.B, dir, xrx, o.flags, o.receiver)
	if err != nil {
		return err
	}
	r.Skipped = skipped
	rs = slices.DeleteFunc(rs, func(r receiver) bool { return !wanted(r.Name(), o.only) })
	b := bench{o, n, xrx}
	for round := range o.rounds {
		for _, l := range r.Loads {
			for _, rx := range rs {
				c := r.cell(rx.Name(), l.Name)
				s, err := b.undisturbed(rx, l)
				if err != nil {
					c.Failed = err.Error()
					fmt.Fprintf(os.Stderr, "%s, %s: %v\n", rx.Name(), l.Name, err)
				} else {
					c.add(s)
				}
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
	}
	r.LoadAfter = lab.Load()
	r.print(os.Stdout)
	path, err := lab.Save(o.out, r)
	if err == nil {
		fmt.Println("\nwritten to", path)
	}
	return err
}

// bench is the network with what is started in it.
type bench struct {
	options
	net *vethnet.Net
	xrx string
}

// settle is how long a receiver may take for what is in its rings when the source has ended. No receiver tells from the outside that it
// is done; a full ring of 2048 takes a millisecond.
const settle = 50 * time.Millisecond

// undisturbed repeats a sample until other programs left the processors alone.
func (b *bench) undisturbed(rx receiver, l load) (best sample, err error) {
	for i := range b.tries {
		s, err := b.measure(rx, l)
		if err := errors.Join(err, b.quiet()); err != nil {
			return best, err
		}
		if i == 0 || s.disturbed() < best.disturbed() {
			best = s
		}
		if best.disturbed() <= b.most {
			break
		}
	}
	return best, nil
}

func (b *bench) measure(rx receiver, l load) (s sample, err error) {
	w, err := rx.Start()
	if err != nil {
		return s, err
	}
	before, cpuErr := w.CPU()
	busy, _ := busyTime(b.receiver)
	began := time.Now()
	out, sendErr := l.send(b.net.A, b.xrx, b.source, b.length)
	time.Sleep(settle)
	took := time.Since(began)
	after, err := w.CPU()
	busyAfter, _ := busyTime(b.receiver)
	c, stopErr := w.Stop()
	if err := errors.Join(cpuErr, sendErr, err, stopErr); err != nil {
		return s, err
	}
	if out.Frames == 0 {
		return s, errors.New("nothing was sent")
	}
	s = sample{Sent: out.Frames, Received: c.Packets, Seconds: out.Elapsed, CPU: (after - before).Seconds(), Counted: !c.unknown}
	if _, ok := rx.(ceiling); !ok { // which has no processor that others could take
		s.Others = max(0, 100*(busyAfter-busy-(after-before)).Seconds()/took.Seconds())
	}
	if l.Engine == "live" { // which never waits; the others do
		s.SourceOthers = max(0, 100*(1-out.cpu.Seconds()/out.Elapsed))
	}
	if took > 0 && s.CPU > 0.9*took.Seconds() { // a busy loop: the source's start and end are not its packets' time
		s.CPU *= out.Elapsed / took.Seconds()
	}
	if c.Batches > 0 {
		s.Batch = float64(c.Packets) / float64(c.Batches)
	}
	s.Syscalls = float64(c.Syscalls) / float64(max(1, c.Packets))
	return s, nil
}

// quiet waits until no XDP program is on the receiving end: then the next receiver finds what the first one found.
func (b *bench) quiet() error {
	const deadline = 3 * time.Second
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		l, err := b.net.B.Link()
		if err != nil {
			return err
		}
		if x := l.Attrs().Xdp; x == nil || !x.Attached {
			return nil
		}
		if time.Since(start) > deadline {
			return errors.New("an XDP program is still attached")
		}
	}
}

func pick(names string) (ls []load, err error) {
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(loads, func(l load) bool { return l.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no load %q", name)
		}
		ls = append(ls, loads[i])
	}
	return ls, nil
}

func wanted(name, only string) bool {
	for part := range strings.SplitSeq(only, ",") {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
