package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"xrx"
	"xrx/stats"
)

// runOptions are the flags of run that are not the receiver's.
type runOptions struct {
	duration time.Duration
	count    uint64
	interval time.Duration
	json     bool
}

func newRunCmd(e env) *cobra.Command {
	var o runOptions
	var f receiverFlags
	c := &cobra.Command{
		Use:   "run IFACE",
		Short: "Receive and report: rate, loss by reason, processor time per packet, the ledger of frames",
		Args:  oneInterface,
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := f.config()
			if err != nil {
				return err
			}
			if o.duration < 0 || o.interval < 0 {
				return usagef("--duration and --interval can't be negative")
			}
			return run(c.Context(), e, args[0], cfg, o)
		},
	}
	fs := c.Flags()
	fs.DurationVar(&o.duration, "duration", 0, "stop after this time (0: run until interrupted)")
	fs.Uint64Var(&o.count, "count", 0, "stop after this many packets (0: no limit)")
	fs.DurationVar(&o.interval, "interval", time.Second, "time between reports (0: only the summary)")
	fs.BoolVar(&o.json, "json", false, "one JSON object a line instead of text")
	f.register(fs)
	return c
}

func run(ctx context.Context, e env, iface string, cfg *xrx.Config, o runOptions) error {
	r, err := xrx.Open(iface, cfg)
	if err != nil {
		return err
	}
	mode := r.Mode()
	reporter := reporter{e: e, json: o.json, iface: iface, mode: stats.Mode{Attach: mode.Attach, Bind: mode.Bind, Reason: mode.Reason}}
	reporter.announce(mode)

	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	began := r.Snapshot()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, consumerFor(o.count, stop)) }()
	runErr := reporter.intervals(r, began, o.interval, ended)
	reporter.summary(began, r.Snapshot())
	if err := r.Close(); runErr == nil {
		runErr = err
	}
	return runErr
}

// consumerFor is what run does with packets: nothing, but for counting where it is to stop after some number.
func consumerFor(count uint64, stop func()) xrx.Consumer {
	if count == 0 {
		return xrx.Handler(func(xrx.Packet) {})
	}
	var n atomic.Uint64
	return xrx.Handler(func(p xrx.Packet) {
		if n.Add(uint64(p.Count())) >= count {
			stop()
		}
	})
}

// reporter prints what a run does, as text or as JSON lines.
type reporter struct {
	e     env
	json  bool
	iface string
	mode  stats.Mode
}

func (p *reporter) announce(m xrx.Mode) {
	for _, n := range m.Notes {
		fmt.Fprintln(p.e.stderr, "xrx: warning:", n)
	}
	if p.json {
		return
	}
	fmt.Fprintf(p.e.stdout, "receiving on %s, %s\n", p.iface, m)
	if m.Reason != "" {
		fmt.Fprintf(p.e.stdout, "  %s\n", m.Reason)
	}
}

// intervals reports until the receiver ends, and returns its error.
func (p *reporter) intervals(r *xrx.Receiver, began stats.Snapshot, every time.Duration, ended <-chan error) error {
	last := began
	var tick <-chan time.Time
	if every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case err := <-ended:
			return err
		case <-tick:
			now := r.Snapshot()
			p.print(stats.NewReport("interval", p.iface, p.mode, began.At, last, now))
			last = now
		}
	}
}

func (p *reporter) print(r stats.Report) {
	if p.json {
		r.WriteJSON(p.e.stdout)
		return
	}
	fmt.Fprintln(p.e.stdout, r.Line())
}

func (p *reporter) summary(began, last stats.Snapshot) {
	r := stats.NewReport("summary", p.iface, p.mode, began.At, began, last)
	if p.json {
		r.WriteJSON(p.e.stdout)
		return
	}
	fmt.Fprintln(p.e.stdout)
	r.WriteText(p.e.stdout)
}
