// Command profile says where the receiver's processor time goes, stage by stage: it samples xrx run with perf while live
// frames come, puts every sample down to a stage of the way of a packet, and prints ns per packet beside what the kernel
// accounted. It writes docs/bench/profile.json and a flame graph for each run. It needs root, and perf.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"xrx/bench/internal/lab"
	"xrx/bench/internal/rig"
)

// frequency is samples per second of processor time: many for a stage of 1 ns in 40, few enough to cost little.
const frequency = 4999

// profiled is one run.
type profiled struct {
	Name     string  `json:"name"`
	Load     string  `json:"load"`
	Figure   string  `json:"figure"` // file of the flame graph, in the same folder
	Packets  uint64  `json:"packets"`
	KPPS     float64 `json:"kpps"`
	Measured float64 `json:"cpu_ns_per_packet"` // as the kernel accounted
	Samples  int     `json:"samples"`
	Stages   []stage `json:"stages"` // in the order of a packet's way
	Sum      float64 `json:"sampled_ns_per_packet"`
	Failed   string  `json:"failed,omitempty"`
}

type stage struct {
	Name    string  `json:"name"`
	Samples int     `json:"samples"`
	NS      float64 `json:"ns_per_packet"`
	Percent float64 `json:"percent"`
	What    string  `json:"what"`
}

type result struct {
	Machine lab.Machine `json:"machine"`
	Seconds float64     `json:"sample_s"`
	Runs    []*profiled `json:"runs"`
}

func main() {
	o := rig.Options{}
	flag.DurationVar(&o.Length, "time", 8*time.Second, "length of one run")
	flag.IntVar(&o.SourceCPU, "source-cpu", 0, "processor of the source")
	flag.IntVar(&o.CPU, "cpu", 1, "processor of the receiver")
	quick := flag.Bool("quick", false, "short runs")
	out := flag.String("out", "docs/bench", "folder for the results")
	flag.Parse()
	if *quick {
		o.Length = 2 * time.Second
	}
	if err := run(o, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench-profile:", err)
		os.Exit(1)
	}
}

func run(o rig.Options, out string) (err error) {
	if _, err := exec.LookPath("perf"); err != nil {
		return fmt.Errorf("%w (Debian: apt-get install linux-perf)", err)
	}
	g, err := rig.New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	source, err := readSource(lab.Root())
	if err != nil {
		return err
	}
	r := &result{Machine: lab.ThisMachine(), Seconds: o.Length.Seconds()}
	for _, c := range []struct{ name, load, flags, figure string }{
		{"GRO off", "udp64", "--gro off", "flame-udp64.svg"},
		{"GRO on", "udp64", "--gro on", "flame-udp64-gro.svg"},
		{"GRO on", "tcp1500", "--gro on", "flame-tcp1500-gro.svg"},
	} {
		load, err := rig.Pick(c.load)
		if err != nil {
			return err
		}
		p := &profiled{Name: c.name, Load: c.load, Figure: c.figure}
		r.Runs = append(r.Runs, p)
		stacks, err := p.record(g, load[0], c.flags, source)
		if err != nil {
			p.Failed = err.Error()
			fmt.Fprintf(os.Stderr, "%s, %s: %v\n", c.name, c.load, err)
			continue
		}
		path := filepath.Join(out, c.figure)
		if !filepath.IsAbs(path) {
			path = filepath.Join(lab.Root(), path)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		title := fmt.Sprintf("xrx run, %s, %s: %.1f ns of processor time a packet", c.name, c.load, p.Measured)
		if err := os.WriteFile(path, flame(stacks, title), 0o644); err != nil {
			return err
		}
	}
	r.print(os.Stdout)
	path, err := lab.Save(filepath.Join(out, "profile.json"), r)
	if err == nil {
		fmt.Println("\nwritten to", path)
	}
	return err
}

// record runs xrx under a load, and perf beside it.
func (p *profiled) record(g *rig.Rig, l rig.Load, flags string, source functions) (stacks []stack, err error) {
	w, err := g.Run("xrx", "", flags).Start()
	if err != nil {
		return nil, err
	}
	pid := w.(interface{ PID() int }).PID()
	data := filepath.Join(g.Dir, "perf.data")
	perf := exec.Command("perf", "record", "-q", "-e", "cpu-clock", "-F", strconv.Itoa(frequency), "-g", "-p", strconv.Itoa(pid), "-o", data)
	var said bytes.Buffer
	perf.Stderr = &said
	perf.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := perf.Start(); err != nil {
		return nil, err
	}
	before, cpuErr := w.CPU()
	sent, sendErr := l.Send(g.Net.A, g.XRX, g.SourceCPU, g.Length)
	after, err := w.CPU()
	perf.Process.Signal(unix.SIGINT)
	perf.Wait() // says that it was interrupted
	c, stopErr := w.Stop()
	if err := errors.Join(cpuErr, sendErr, err, stopErr, g.Quiet()); err != nil {
		return nil, err
	}
	if c.Packets == 0 {
		return nil, errors.New("nothing was received")
	}
	p.Packets, p.KPPS = c.Packets, float64(c.Packets)/sent.Sending/1e3
	p.Measured = float64(after-before) / float64(c.Packets)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	script, err := exec.CommandContext(ctx, "perf", "script", "-i", data, "-F", "comm,tid,event,ip,sym,dso").Output()
	if err != nil {
		return nil, fmt.Errorf("perf script: %w: %s", err, said.Bytes())
	}
	stacks, err = parse(script)
	if err != nil {
		return nil, err
	}
	if err := locate(stacks, g.XRX, source); err != nil {
		return nil, err
	}
	p.count(stacks)
	return stacks, nil
}

// count puts every sample down to a stage.
func (p *profiled) count(stacks []stack) {
	n := map[string]int{}
	for _, s := range stacks {
		n[stageOf(s)]++
	}
	p.Samples = len(stacks)
	for _, k := range order {
		ns := float64(n[k.name]) * 1e9 / frequency / float64(p.Packets)
		p.Stages = append(p.Stages, stage{Name: k.name, Samples: n[k.name], NS: ns, Percent: 100 * float64(n[k.name]) / float64(max(1, p.Samples)), What: k.what})
		p.Sum += ns
	}
}

func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "Processor time of xrx run by stage, ns per packet; perf, cpu-clock at %d Hz\n%s\n", frequency, r.Machine)
	for _, p := range r.Runs {
		fmt.Fprintf(w, "\n%s, %s", p.Name, p.Load)
		if p.Failed != "" {
			fmt.Fprintf(w, ": failed: %s\n", p.Failed)
			continue
		}
		fmt.Fprintf(w, ": %.0f kpps, %d samples\n", p.KPPS, p.Samples)
		for _, s := range p.Stages {
			fmt.Fprintf(w, "  %-16s%8.1f%7.1f %%  %s\n", s.Name, s.NS, s.Percent, s.What)
		}
		fmt.Fprintf(w, "  %-16s%8.1f          measured (accounted by the kernel): %.1f\n", "sum", p.Sum, p.Measured)
	}
}
