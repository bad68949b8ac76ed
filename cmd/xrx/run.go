package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"runtime/pprof"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"xrx"
	"xrx/metrics"
	"xrx/stats"
)

// runOptions are the flags of run that are not the receiver's.
type runOptions struct {
	duration  time.Duration
	count     uint64
	interval  time.Duration
	json      bool
	latency   bool
	profile   string
	metrics   string
	wait      bool
	matchFile string
	user      string
	listen    netip.AddrPort // metrics, read; invalid: none
}

func newRunCmd(e env) *cobra.Command {
	var o runOptions
	var f receiverFlags
	c := &cobra.Command{
		Use:   "run IFACE",
		Short: "Receive and report: rate, loss by reason, processor time per packet, the ledger of frames",
		Long: "run receives, drops what it received, and reports. On a terminal it draws a table anew at each --interval; otherwise\n" +
			"it prints a line. With --metrics it serves the counters to Prometheus: on loopback, unless an address is written\n" +
			"out in full, like 192.0.2.1:9780 or 0.0.0.0:9780. SIGUSR1 prints who holds which frames, on stderr.",
		Example: "  xrx run eth1 --duration 10s\n" +
			"  xrx run eth1 --json > run.jsonl; xrx report run.jsonl -o report.html\n" +
			"  xrx run eth1 --metrics 9780 & curl http://127.0.0.1:9780/metrics",
		Args: oneInterface,
		RunE: func(c *cobra.Command, args []string) error {
			if o.matchFile != "" {
				if f.match != "" {
					return usagef("--match and --match-file: one of them")
				}
				var err error
				if f.match, err = readMatch(o.matchFile); err != nil {
					return usagef("--match-file: %v", err)
				}
			}
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
			if err := checkUser(o.user, cfg); err != nil {
				return err
			}
			return run(c.Context(), e, args[0], cfg, o)
		},
	}
	fs := c.Flags()
	fs.DurationVar(&o.duration, "duration", 0, "stop after this time (0: run until interrupted)")
	fs.Uint64Var(&o.count, "count", 0, "stop after this many packets (0: no limit)")
	fs.DurationVar(&o.interval, "interval", time.Second, "time between reports (0: only the summary)")
	fs.BoolVar(&o.json, "json", false, "one JSON object a line instead of text")
	fs.BoolVar(&o.latency, "latency", false, "measure how old the packets of xrx gen --stamp, on this machine, are when they are delivered")
	fs.StringVar(&o.profile, "cpuprofile", "", "write a processor profile of the run to this file, for go tool pprof")
	fs.StringVar(&o.metrics, "metrics", "", "serve Prometheus metrics on this port of loopback, or at this address, like 127.0.0.1:9780")
	fs.BoolVar(&o.wait, "wait", false, "wait for the interface where there is none, and open it again when it was deleted and is back, or has more queues or a larger MTU")
	fs.StringVar(&o.matchFile, "match-file", "", "the expression of --match is in this file, which is read again at SIGHUP")
	fs.StringVar(&o.user, "user", "", "once everything is open, become this user (a name, or UID:GID), without capabilities but those that --wait or --match-file need")
	f.register(fs)
	f.registerHelper(fs)
	f.registerNoMeta(fs)
	f.registerWorkers(fs)
	return c
}

func run(ctx context.Context, e env, iface string, cfg *xrx.Config, o runOptions) error {
	cfg.OnEvent = tellEvents(e.stderr)
	hangups, users := caught(syscall.SIGHUP, o.matchFile != ""), caught(syscall.SIGUSR1, true)
	defer signal.Stop(hangups)
	defer signal.Stop(users)
	r, err := openSource(iface, cfg, o.wait)
	if err != nil {
		return err
	}
	mode := r.Mode()
	reporter := reporter{e: e, json: o.json, iface: iface, modeOf: r.Mode}
	if !o.json {
		reporter.display = displayOn(e.stdout, os.Getenv)
	}
	began := r.Snapshot()
	var server *metrics.Server
	if o.listen.IsValid() {
		server, err = metrics.Serve(o.listen, metrics.NewCollector(iface, func() stats.Mode { return statsMode(r.Mode()) }, began.At, r))
		if err != nil {
			return errors.Join(err, r.Close())
		}
	}
	reporter.announce(mode, r.Match(), o.wait)
	reporter.announceMetrics(server, o.listen)

	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	consumer := consumerFor(o.count, stop)
	if o.latency {
		reporter.latency = newLatency()
		consumer = latencyConsumer(reporter.latency, o.count, stop)
	}
	endProfile, err := profile(o.profile)
	if err != nil {
		return errors.Join(err, closeAll(r, server))
	}
	if err := becomeUser(e, o.user, &o); err != nil {
		return errors.Join(err, endProfile(), closeAll(r, server))
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, consumer) }()
	endReload := onHangup(ctx, e, r, o.matchFile, hangups)
	endHolders := onUser1(e, iface, r, users)
	runErr := reporter.intervals(r, began, o.interval, ended)
	endReload()
	endHolders()
	if err := endProfile(); runErr == nil {
		runErr = err
	}
	reporter.summary(began, r.Snapshot())
	if err := closeAll(r, server); runErr == nil {
		runErr = err
	}
	reporter.warn(r.Mode().Notes[len(mode.Notes):]) // what Close found
	return runErr
}

// caught is where a signal goes from the first moment to the last: one that comes before it can be served, or when it no
// longer is, must not end the process, which is what SIGHUP and SIGUSR1 do by themselves. signal.Stop ends it.
func caught(s os.Signal, wanted bool) chan os.Signal {
	c := make(chan os.Signal, 1)
	if wanted {
		signal.Notify(c, s)
	}
	return c
}

func closeAll(r source, server *metrics.Server) (err error) {
	if server != nil {
		err = server.Close() // before the receiver's, which may wait long with the receiver locked
	}
	return errors.Join(r.Close(), err)
}

// profile begins a processor profile, if there is to be one; end writes it.
func profile(path string) (end func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
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

// latencyConsumer measures the packets' age, and stops after count of them as they were on the wire (0: never).
func latencyConsumer(l *latency, count uint64, stop func()) xrx.Consumer {
	if count == 0 {
		return xrx.BatchHandler(l.take)
	}
	var n atomic.Uint64
	return xrx.BatchHandler(func(batch []xrx.Packet) {
		var some uint64
		for _, p := range batch {
			some += uint64(p.Count())
		}
		l.take(batch)
		if n.Add(some) >= count {
			stop()
		}
	})
}

// reporter prints what a run does: as text, as JSON lines, or as a table on a terminal.
type reporter struct {
	e       env
	json    bool
	iface   string
	out     string          // where it is forwarded to; "": it isn't
	modeOf  func() xrx.Mode // with --wait, every opening may bring another one
	display *display        // nil: not on a terminal
	latency *latency        // nil: not measured
	history []float64       // rates of the last intervals, in packets per second, for the display
}

func (p *reporter) warn(notes []string) {
	for _, n := range notes {
		fmt.Fprintln(p.e.stderr, "xrx: warning:", n)
	}
}

func (p *reporter) announce(m xrx.Mode, match string, wait bool) {
	p.warn(m.Notes)
	if p.json {
		return
	}
	if wait {
		fmt.Fprintf(p.e.stdout, "receiving on %s, whenever there is such an interface\n", p.iface)
	} else {
		fmt.Fprintf(p.e.stdout, "receiving on %s, %s\n", p.iface, m)
	}
	if match != "" {
		fmt.Fprintf(p.e.stdout, "  match %s\n", match)
	}
	if m.Reason != "" {
		fmt.Fprintf(p.e.stdout, "  %s\n", m.Reason)
	}
	for _, s := range m.Settings {
		fmt.Fprintf(p.e.stdout, "  set: %s\n", s)
	}
}

// announceMetrics says where the metrics are, on stderr: stdout is the report's.
func (p *reporter) announceMetrics(s *metrics.Server, addr netip.AddrPort) {
	if s == nil {
		return
	}
	fmt.Fprintln(p.e.stderr, "xrx: metrics at", s.URL())
	if !addr.Addr().Unmap().IsLoopback() {
		fmt.Fprintln(p.e.stderr, "xrx: warning: whoever can reach that address can read the metrics: there is no password and no encryption")
	}
}

// intervals reports until the receiver ends, and returns its error.
func (p *reporter) intervals(r source, began stats.Snapshot, every time.Duration, ended <-chan error) error {
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
			p.print(began, last, now)
			last = now
		}
	}
}

// historyMost bounds the sparkline: no terminal is wider.
const historyMost = 512

// print shows what happened from last to now.
func (p *reporter) print(began, last, now stats.Snapshot) {
	r := stats.NewReport("interval", p.iface, statsMode(p.modeOf()), began.At, last, now)
	r.Latency, r.Out = p.latency.interval(), p.out
	switch {
	case p.json:
		r.WriteJSON(p.e.stdout)
	case p.display != nil:
		if p.history = append(p.history, r.Rx.PPS); len(p.history) > historyMost {
			p.history = append(p.history[:0], p.history[1:]...)
		}
		columns, _ := p.display.room()
		p.display.draw(r.Table(stats.NewReport("summary", p.iface, statsMode(p.modeOf()), began.At, began, now), p.history, p.display.sparks, columns))
	default:
		fmt.Fprintln(p.e.stdout, r.Line())
	}
}

func (p *reporter) summary(began, last stats.Snapshot) {
	r := stats.NewReport("summary", p.iface, statsMode(p.modeOf()), began.At, began, last)
	r.Latency, r.Out = p.latency.whole(), p.out
	if p.json {
		r.WriteJSON(p.e.stdout)
		return
	}
	fmt.Fprintln(p.e.stdout)
	r.WriteText(p.e.stdout)
}
