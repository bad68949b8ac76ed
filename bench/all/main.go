// Command all runs the benchmarks one after the other on an otherwise idle machine, says beforehand how long that takes,
// and writes their tables to the terminal and JSON and figures into docs/bench; then docs/PERFORMANCE.md is made anew from
// these. A benchmark that fails is named at the end; the others run all the same.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"xrx/bench/internal/lab"
	"xrx/internal/progress"
)

// part is one benchmark, with how long it takes here, and quickly.
type part struct {
	name        string
	args, quick []string
	full, short time.Duration
	what        string
}

var parts = []part{
	{"duel", nil, []string{"-quick"}, 660 * time.Second, 35 * time.Second, "what goals compare, in short turns"},
	{"rx", nil, []string{"-quick"}, 480 * time.Second, 65 * time.Second, "receivers side by side: rate, loss, processor time"},
	{"latency", nil, []string{"-quick"}, 140 * time.Second, 37 * time.Second, "latency by rate and way of waiting"},
	{"soak", nil, []string{"-quick", "-time", "10s"}, 150 * time.Second, 31 * time.Second, "loss by second at full rate"},
	{"scale", nil, []string{"-quick"}, 165 * time.Second, 68 * time.Second, "queues, flows, frames held"},
	{"profile", nil, []string{"-quick"}, 42 * time.Second, 23 * time.Second, "where the nanoseconds go, by stage; flame graphs"},
}

func main() {
	quick := flag.Bool("quick", false, "everything short: to see that it works, not for figures")
	only := flag.String("only", "", "only these benchmarks, comma separated")
	out := flag.String("out", "", "folder for results (default docs/bench, with -quick bench/out); another one than docs/bench leaves docs/PERFORMANCE.md alone")
	show := progress.Auto
	flag.Var(&show, "progress", progress.Help)
	flag.Parse()
	if *out == "" {
		*out = "docs/bench"
		if *quick { // figures to be kept are made of long runs
			*out = "bench/out"
		}
	}
	if err := run(*quick, *only, *out, show); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(quick bool, only, out string, show progress.When) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("network namespaces and AF_XDP need root: sudo make bench")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	todo := slices.DeleteFunc(slices.Clone(parts), func(p part) bool {
		return only != "" && !slices.Contains(strings.Split(only, ","), p.name)
	})
	var sum time.Duration
	for _, p := range todo {
		sum += p.time(quick)
	}
	fmt.Printf("%s\nabout %v in all; leave the machine alone meanwhile: what others take of its processors shows as cost\n", lab.ThisMachine(), sum.Round(time.Second))
	for _, p := range todo {
		fmt.Printf("  %-10s%6v  %s\n", p.name, p.time(quick), p.what)
	}
	dir, err := os.MkdirTemp("", "xrx-bench-all-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var failed []string
	began := time.Now()
	var now atomic.Pointer[at]
	now.Store(&at{since: began})
	line := progress.Start(progress.Config{When: show, Out: os.Stderr, Redraw: time.Second, State: func() progress.State { return now.Load().state(sum, time.Now()) }})
	defer line.Stop()
	stdout, stderr := line.Over(os.Stdout), line.Over(os.Stderr)
	var before time.Duration
	for _, p := range todo {
		now.Store(&at{p.name, before, p.time(quick), time.Now()})
		before += p.time(quick)
		fmt.Fprintf(stdout, "\n== %s (%v of about %v passed)\n", p.name, time.Since(began).Round(time.Second), sum.Round(time.Second))
		if err := p.run(ctx, dir, quick, out, stdout, stderr); err != nil {
			fmt.Fprintf(stderr, "%s: %v\n", p.name, err)
			failed = append(failed, p.name)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	line.Stop()
	if filepath.Clean(out) == "docs/bench" {
		cmd := exec.CommandContext(ctx, "go", "run", "./tables")
		cmd.Dir, cmd.Stdout, cmd.Stderr = lab.Dir(), os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			failed = append(failed, "tables")
		}
	}
	fmt.Printf("\n%v in all\n", time.Since(began).Round(time.Second))
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}

func (p part) time(quick bool) time.Duration {
	if quick {
		return p.short
	}
	return p.full
}

// at is where the run is: in a benchmark that should take so long, after others.
type at struct {
	name         string
	before, long time.Duration // estimated
	since        time.Time
}

// state goes by the estimates; a benchmark that takes longer than its own waits at its end.
func (a at) state(sum time.Duration, now time.Time) progress.State {
	return progress.State{What: "bench, " + a.name, Part: float64(a.before+min(now.Sub(a.since), a.long)) / float64(max(sum, 1))}
}

// run builds the benchmark, so that the compiler is not part of it, and runs it with a deadline.
func (p part) run(ctx context.Context, dir string, quick bool, out string, stdout, stderr io.Writer) error {
	bin := filepath.Join(dir, p.name)
	build := exec.CommandContext(ctx, "go", "build", "-o", bin, "./"+p.name)
	build.Dir, build.Stderr = lab.Dir(), stderr
	if err := build.Run(); err != nil {
		return err
	}
	args := p.args
	if quick {
		args = p.quick
	}
	where := out
	if p.name != "scale" && p.name != "profile" { // which make several files
		where = filepath.Join(out, p.name)
	}
	args = slices.Clone(args)
	if p.name == "rx" || p.name == "duel" {
		where += ".json"
		args = append(args, "-progress=off") // one line is enough
	}
	ctx, cancel := context.WithTimeout(ctx, 3*p.time(quick)+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, append(args, "-out", where)...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd.Run()
}
