package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"xrx"
	"xrx/metrics"
	"xrx/stats"
)

// forwardOptions are the flags of forward that are not the receiver's.
type forwardOptions struct {
	oneWay, swapMAC bool
	duration        time.Duration
	interval        time.Duration
	json            bool
	metrics         string
	listen          netip.AddrPort
}

func newForwardCmd(e env) *cobra.Command {
	var o forwardOptions
	var f receiverFlags
	c := &cobra.Command{
		Use:   "forward IN OUT",
		Short: "Send what arrives on one interface out of another, and the reverse, without a copy",
		Long: "forward is a wire between two interfaces: what arrives on IN leaves by OUT, and the reverse, from the memory that it\n" +
			"arrived in. All of it, also what is for this machine, unless --match leaves it to the kernel. What GRO merged leaves as\n" +
			"the packets that arrived, byte for byte; checksums that a sender on this machine left partial are completed. With\n" +
			"--swap-mac both may be the same interface: a reflector.",
		Example: "  xrx forward eth1 eth2\n" +
			"  xrx forward eth1 eth2 --one-way --json > forward.jsonl\n" +
			"  xrx forward eth1 eth1 --swap-mac --match 'udp port 7'",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("forward wants two interfaces, like: xrx forward eth1 eth2")
			}
			if args[0] == args[1] && !o.swapMAC {
				return usagef("forward from %s to itself wants --swap-mac: otherwise every packet would go back with the addresses that it came with", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := f.config()
			if err != nil {
				return err
			}
			if o.duration < 0 || o.interval < 0 {
				return usagef("--duration and --interval can't be negative")
			}
			if o.metrics != "" {
				if o.listen, err = metrics.ParseAddr(o.metrics); err != nil {
					return usagef("--metrics %v", err)
				}
			}
			return forward(c.Context(), e, args[0], args[1], cfg, o)
		},
	}
	fs := c.Flags()
	fs.BoolVar(&o.oneWay, "one-way", false, "only what arrives on IN is forwarded")
	fs.BoolVar(&o.swapMAC, "swap-mac", false, "source and destination MAC change places")
	fs.DurationVar(&o.duration, "duration", 0, "stop after this time (0: run until interrupted)")
	fs.DurationVar(&o.interval, "interval", time.Second, "time between reports (0: only the summary)")
	fs.BoolVar(&o.json, "json", false, "one JSON object a line instead of text, one line for each direction")
	fs.StringVar(&o.metrics, "metrics", "", "serve Prometheus metrics on this port of loopback, or at this address, like 127.0.0.1:9780")
	f.register(fs)
	return c
}

func forward(ctx context.Context, e env, in, out string, cfg *xrx.Config, o forwardOptions) (err error) {
	cfg.OnEvent = tellEvents(e.stderr)
	rarelyCollect()
	f, err := xrx.OpenForward(in, out, &xrx.ForwardConfig{Config: *cfg, OneWay: o.oneWay, SwapMAC: o.swapMAC})
	if err != nil {
		return err
	}
	ways := make([]*way, len(f.Directions()))
	var collectors []*metrics.Collector
	for i, d := range f.Directions() {
		w := &way{Forwarder: f, number: i, reporter: reporter{e: e, json: o.json, iface: d.In, out: d.Out, modeOf: func() xrx.Mode { return f.Directions()[i].Mode }}}
		w.began = w.Snapshot()
		w.last = w.began
		ways[i] = w
		w.announceWay(d.Mode)
		collectors = append(collectors, metrics.NewCollector(d.In, func() stats.Mode { return statsMode(f.Directions()[i].Mode) }, w.began.At, w))
	}
	var server *metrics.Server
	if o.listen.IsValid() {
		if server, err = metrics.Serve(o.listen, collectors...); err != nil {
			return errors.Join(err, f.Close())
		}
		ways[0].announceMetrics(server, o.listen)
	}
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	runErr := reportWays(ways, o.interval, ended)
	for _, w := range ways {
		w.summary(w.began, w.Snapshot())
	}
	if server != nil {
		err = server.Close()
	}
	if err := errors.Join(f.Close(), err); runErr == nil {
		runErr = err
	}
	return runErr
}

// way is one direction of a forwarder, with its reports.
type way struct {
	*xrx.Forwarder
	reporter
	number      int
	began, last stats.Snapshot
}

// Snapshot is that of the direction alone: metrics.Source.
func (w *way) Snapshot() stats.Snapshot { return w.Forwarder.Snapshot(w.number) }

func (w *way) announceWay(m xrx.Mode) {
	w.warn(m.Notes)
	if w.json {
		return
	}
	fmt.Fprintf(w.e.stdout, "forwarding from %s to %s, %s\n", w.iface, w.out, m)
	if m.Reason != "" {
		fmt.Fprintf(w.e.stdout, "  %s\n", m.Reason)
	}
}

// reportWays prints what happens in each direction until the forwarder ends, and returns its error.
func reportWays(ways []*way, every time.Duration, ended <-chan error) error {
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
			for _, w := range ways {
				now := w.Snapshot()
				w.print(w.began, w.last, now)
				w.last = now
			}
		}
	}
}
