package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"xrx"
	"xrx/consume/flows"
	"xrx/stats"
)

// flowsOptions are the flags of flows that are not the receiver's.
type flowsOptions struct {
	json     bool
	top      int
	sort     string
	interval time.Duration
	duration time.Duration
	table    flows.Config
}

// flowOrders are the values of --sort.
var flowOrders = map[string]flows.Order{"bytes": flows.Bytes, "packets": flows.Packets, "retransmits": flows.Retransmits, "recent": flows.Recent}

func newFlowsCmd(e env) *cobra.Command {
	var o flowsOptions
	var f receiverFlags
	c := &cobra.Command{
		Use:   "flows IFACE",
		Short: "Show the top talkers, or write a JSON record of each flow",
		Long: "flows receives, drops what it received, and keeps a table of flows: one direction of a connection each, with packets\n" +
			"and bytes on the wire, TCP flags, and TCP segments that were sent again (retransmits) or filled a gap (late). At each\n" +
			"--interval, and at the end, it shows the first --top of them. With --json it writes a record, one object a line, when\n" +
			"a flow ends, and at each --interval of those that go on: a record covers what came since the flow's last record.",
		Example: "  xrx flows eth1 --top 10\n" +
			"  xrx flows eth1 --json --interval 10s | jq 'select(.retransmits > 0)'",
		Args: oneInterface,
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := f.config()
			if err != nil {
				return err
			}
			if err := o.validate(); err != nil {
				return err
			}
			ctx := c.Context()
			if o.duration > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, o.duration)
				defer cancel()
			}
			return watchFlows(ctx, e, &o, cfg, args[0])
		},
	}
	fs := c.Flags()
	fs.BoolVar(&o.json, "json", false, "flow records, one JSON object a line, instead of a table")
	fs.IntVar(&o.top, "top", 20, "how many flows to show")
	fs.StringVar(&o.sort, "sort", "bytes", "which come first: bytes, packets, retransmits or recent")
	fs.DurationVar(&o.interval, "interval", time.Second, "time between tables, or between records of a flow (0: only at the end)")
	fs.DurationVar(&o.duration, "duration", 0, "stop after this time (0: run until interrupted)")
	fs.IntVar(&o.table.Flows, "flows", 1<<16, "flows in the table of each queue; with more, the one that was silent for longest goes")
	fs.DurationVar(&o.table.Idle, "idle", 30*time.Second, "a flow that was silent for so long has ended")
	f.register(fs)
	f.registerHelper(fs)
	return c
}

func (o *flowsOptions) validate() error {
	switch _, ok := flowOrders[o.sort]; {
	case !ok:
		return usagef("--sort %q: want bytes, packets, retransmits or recent", o.sort)
	case o.top < 1 || o.top > 1<<20:
		return usagef("--top %d: want 1 to %d", o.top, 1<<20)
	case o.interval < 0 || o.duration < 0:
		return usagef("--interval and --duration can't be negative")
	case o.table.Idle < time.Second:
		return usagef("--idle %v: want at least 1s", o.table.Idle)
	case o.table.Flows < 1 || o.table.Flows > 1<<24:
		return usagef("--flows %d: want 1 to %d", o.table.Flows, 1<<24)
	}
	return nil
}

// flowsReport prints a table of flows, or their records.
type flowsReport struct {
	o       *flowsOptions
	iface   string
	table   *flows.Table
	out     *bufio.Writer
	display *display // nil: not on a terminal
	err     error    // the first of output
}

func watchFlows(ctx context.Context, e env, o *flowsOptions, cfg *xrx.Config, iface string) error {
	table, err := flows.New(&o.table)
	if err != nil {
		return usageError{err}
	}
	rarelyCollect()
	r, err := xrx.Open(iface, cfg)
	if err != nil {
		return err
	}
	p := &flowsReport{o: o, iface: iface, table: table, out: bufio.NewWriterSize(e.stdout, 1<<16)}
	if !o.json {
		p.display = displayOn(e.stdout, os.Getenv)
	}
	mode := r.Mode()
	for _, n := range mode.Notes {
		fmt.Fprintln(e.stderr, "xrx: warning:", n)
	}
	began := r.Snapshot()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, xrx.BatchHandler(table.Take)) }()
	if until(ctx, func() bool { return r.Registered() || len(ended) > 0 }) == nil && len(ended) == 0 {
		fmt.Fprintf(e.stderr, "receiving on %s, %s\n", iface, mode)
	}
	err = p.watch(ended, stop)
	last := r.Snapshot()
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	p.end()
	p.summary(e, began, last)
	if err == nil {
		err = p.err
	}
	return err
}

// watch reports until the receiver has ended, or output has failed.
func (p *flowsReport) watch(ended <-chan error, stop func()) error {
	sweep := time.NewTicker(time.Second)
	defer sweep.Stop()
	var report <-chan time.Time
	if p.o.interval > 0 {
		t := time.NewTicker(p.o.interval)
		defer t.Stop()
		report = t.C
	}
	for {
		select {
		case err := <-ended:
			return err
		case now := <-sweep.C:
			p.table.Ended(now, p.record)
		case now := <-report:
			p.table.Ended(now, p.record)
			if p.o.json {
				p.table.Active(p.record)
			} else {
				p.show()
			}
		}
		p.flush()
		if p.err != nil {
			stop()
			return <-ended
		}
	}
}

func (p *flowsReport) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *flowsReport) flush() { p.fail(p.out.Flush()) }

// record writes a record where records are asked for.
func (p *flowsReport) record(r *flows.Record) {
	if p.o.json && p.err == nil {
		_, err := r.WriteTo(p.out)
		p.fail(err)
	}
}

// show prints the top of the table.
func (p *flowsReport) show() {
	if p.err != nil {
		return
	}
	lines := p.lines()
	if p.display != nil {
		p.display.draw(lines)
		return
	}
	for _, l := range lines {
		_, err := p.out.WriteString(l + "\n")
		p.fail(err)
	}
	_, err := p.out.WriteString("\n")
	p.fail(err)
}

func (p *flowsReport) lines() []string {
	s := p.table.Stats()
	lines := []string{
		fmt.Sprintf("%s  %s flows (%s evicted), %s packets, %s bytes, %s retransmits, %s late", p.iface, stats.Count(uint64(s.Flows)), stats.Count(s.Evicted),
			stats.Count(s.Packets), stats.Count(s.Bytes), stats.Count(s.Retransmits), stats.Count(s.Late)),
		fmt.Sprintf("%-6s %15s %12s %10s %8s %-8s %9s  %s", "proto", "bytes", "packets", "retransmit", "late", "flags", "seconds", "flow"),
	}
	for _, r := range p.table.Top(p.o.top, flowOrders[p.o.sort]) {
		flow := r.Src.String() + " > " + r.Dst.String()
		if r.VLAN != 0 {
			flow = fmt.Sprintf("vlan %d, %s", r.VLAN, flow)
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%-6s %15s %12s %10s %8s %-8s %9.3f  %s", r.Proto, stats.Count(r.Bytes), stats.Count(r.Packets),
			stats.Count(r.Retransmits), stats.Count(r.Late), r.Flags, r.Last.Sub(r.First).Seconds(), flow), " "))
	}
	return lines
}

// end reports what is in the table when the receiver has ended.
func (p *flowsReport) end() {
	if p.o.json {
		p.table.Flush(p.record)
	} else {
		p.show()
	}
	p.flush()
}

// summary says on stderr what came and what is in no record.
func (p *flowsReport) summary(e env, began, last stats.Snapshot) {
	r := stats.NewReport("summary", "", stats.Mode{}, began.At, began, last)
	s := p.table.Stats()
	fmt.Fprintf(e.stderr, "%s packets received in %s flows; %s belong to no flow, %s are malformed; %s flows evicted, %s records lost\n",
		stats.Count(r.Rx.Packets), stats.Count(s.Created), stats.Count(s.NotIP), stats.Count(s.Malformed), stats.Count(s.Evicted), stats.Count(s.Unreported))
	fmt.Fprintf(e.stderr, "dropped %s: %s by the kernel, %s by xrx\n", stats.Count(r.Dropped()), stats.Count(r.Kernel.Lost()), stats.Count(r.Dropped()-r.Kernel.Lost()))
	if r.Ledger.Lost != 0 {
		fmt.Fprintf(e.stderr, "frames %s\n", r.Ledger)
	}
}
