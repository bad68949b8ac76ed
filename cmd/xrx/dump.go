package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"xrx"
	"xrx/gro"
	"xrx/internal/backlog"
	"xrx/internal/capture"
	"xrx/internal/progress"
	"xrx/stats"
)

// dumpOptions are the flags of dump that are not the receiver's.
type dumpOptions struct {
	json, link, print, wire bool
	count                   uint64
	duration                time.Duration
	write, read             string
	buffer                  int // MiB per queue
	rotate                  capture.Rotation
	rotateSize              int // MB
	progress                progress.When
}

func newDumpCmd(e env) *cobra.Command {
	var o dumpOptions
	var f receiverFlags
	c := &cobra.Command{
		Use:   "dump IFACE | dump -r FILE",
		Short: "Print every delivered packet, write packets to a capture file, or replay one through GRO",
		Long: "dump prints a line for each packet that a consumer gets, as tcpdump -n -S does, with how many packets on the\n" +
			"wire it stands for (segs) and their payload size (gso). With -w it writes a pcapng file, and prints only if told\n" +
			"to by --print or --json. With -r it needs neither interface nor root: a capture file goes through the same engine.\n" +
			"\n" +
			"In a replay, packets reach the engine in bursts, as they would off a ring: a burst ends after --budget packets, or\n" +
			"when the next one came more than --gather after the burst's first (auto: 150us). Without --gro-flush everything held is\n" +
			"delivered when the burst ends; with it, when the time has passed by the packets' timestamps. A packet that the\n" +
			"file says was merged already is delivered as it is. Files that dump wrote carry one time for each poll: replayed\n" +
			"with --gather 0 they give the bursts of the day, but that live, a poll that used up its budget did not end one.\n" +
			"\n" +
			"Packets are copied for output, and their frames go back to the kernel at once. Output that can't keep up fills\n" +
			"--buffer; from then on packets are not shown, and the summary says how many.",
		Example: "  xrx dump eth1 -n 10\n" +
			"  xrx dump eth1 --json | jq 'select(.segs > 1)'\n" +
			"  xrx dump eth1 -w merged.pcapng --duration 10s\n" +
			"  xrx dump -r eth1.pcap --gro-profile linux618 -w wire.pcapng --wire",
		Args: func(c *cobra.Command, args []string) error {
			if o.read == "" || len(args) > 1 {
				return oneInterface(c, args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := f.config()
			if err == nil {
				err = o.validate()
			}
			if err != nil {
				return err
			}
			if cfg.GRO == nil { // parse and verify all the same: the checksum is worth printing
				cfg.GRO = &gro.Config{Off: true}
			}
			ctx := c.Context()
			if o.duration > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, o.duration)
				defer cancel()
			}
			if o.read != "" {
				return dumpFile(ctx, e, &o, cfg)
			}
			return dumpLive(ctx, e, &o, cfg, args[0])
		},
	}
	fs := c.Flags()
	fs.BoolVar(&o.json, "json", false, "one JSON object per packet instead of a line")
	fs.BoolVarP(&o.link, "link", "e", false, "print the link layer too: MACs and VLAN tags")
	fs.Uint64VarP(&o.count, "count", "n", 0, "stop after this many delivered packets (0: no limit)")
	fs.DurationVar(&o.duration, "duration", 0, "stop after this time (0: run until interrupted)")
	fs.StringVarP(&o.write, "write", "w", "", "write packets to this pcapng file (-: standard output)")
	fs.BoolVar(&o.wire, "wire", false, "with -w: write packets as they were on the wire, not as they were merged")
	fs.BoolVar(&o.print, "print", false, "with -w: print lines too")
	fs.StringVarP(&o.read, "read", "r", "", "replay this pcap or pcapng file instead of receiving")
	progressFlag(fs, &o.progress)
	fs.Lookup("progress").Usage = "with -r: " + progress.Help + "; auto is off while lines go to a terminal"
	fs.IntVar(&o.buffer, "buffer", 32, "MiB per queue for packets that wait to be written")
	fs.IntVar(&o.rotateSize, "rotate-size", 0, "with -w: go on in a new file after this many MB (0: never)")
	fs.DurationVar(&o.rotate.Every, "rotate-every", 0, "with -w: go on in a new file after this time (0: never)")
	fs.IntVar(&o.rotate.Files, "files", 0, "keep this many files of a rotation and delete older ones (0: keep all)")
	f.register(fs)
	f.registerHelper(fs)
	return c
}

func (o *dumpOptions) validate() error {
	switch {
	case o.duration < 0:
		return usagef("--duration can't be negative")
	case o.progress == progress.On && o.read == "":
		return usagef("--progress is for -r FILE: of packets that arrive nobody knows how many will")
	case o.wire && o.write == "":
		return usagef("--wire says what -w writes: it needs -w FILE")
	case o.print && o.write == "":
		return usagef("--print is for -w FILE: without it, lines are printed anyway")
	case o.write == "-" && (o.print || o.json):
		return usagef("-w - takes standard output: no room for --print or --json")
	case o.buffer < 1 || o.buffer > 1<<14:
		return usagef("--buffer %d: want 1 to %d MiB", o.buffer, 1<<14)
	case o.link && o.json:
		return usagef("-e is about lines: --json has no link layer")
	case o.rotateSize < 0 || o.rotateSize > 1<<20:
		return usagef("--rotate-size %d: want 1 to %d MB", o.rotateSize, 1<<20)
	case (o.rotateSize > 0 || o.rotate.Every != 0 || o.rotate.Files != 0) && (o.write == "" || o.write == "-"):
		return usagef("--rotate-size, --rotate-every and --files are about the files that -w writes: give -w FILE")
	}
	o.rotate.Size = int64(o.rotateSize) * 1e6
	if err := o.rotate.Validate(); err != nil {
		return usagef("%v (--rotate-size, --rotate-every, --files)", err)
	}
	return nil
}

// lines reports whether packets are printed.
func (o *dumpOptions) lines() bool { return o.write == "" || o.print || o.json }

// keep returns what of a packet must be copied for output.
func (o *dumpOptions) keep() backlog.Keep {
	return backlog.Keep{Whole: o.write != "" && !o.wire, Wire: o.wire}
}

// openOutput makes the output; closing it closes the file. iface is whose packets they are, counts what a file says at
// its end. stop is called when no more packets are wanted.
func (o *dumpOptions) openOutput(e env, iface, comment string, began time.Time, counts func() capture.Counts, stop func()) (out *dumpOutput, err error) {
	out = newDumpOutput(e.stdout, o, stop)
	info := capture.Info{Iface: iface, Comment: comment, Program: "xrx dump"}
	switch o.write {
	case "":
	case "-":
		out.pcap, err = capture.Stream(e.stdout, info, began, counts)
	default:
		out.pcap, err = capture.CreateFiles(o.write, info, o.rotate, began, counts)
	}
	return out, err
}

// dumpLive receives from an interface until ctx is done or the output has enough.
func dumpLive(ctx context.Context, e env, o *dumpOptions, cfg *xrx.Config, iface string) error {
	cfg.OnEvent = tellEvents(e.stderr)
	rarelyCollect()
	r, err := xrx.Open(iface, cfg)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	mode := r.Mode()
	began := r.Snapshot()
	var l *backlog.Lanes
	var ended atomic.Pointer[stats.Snapshot] // the receiver's last word, before it was closed
	sum := func() dumpSummary {
		if s := ended.Load(); s != nil {
			return liveSummary(began, *s, l.Dropped())
		}
		return liveSummary(began, r.Snapshot(), l.Dropped())
	}
	out, err := o.openOutput(e, iface, "received by AF_XDP, "+mode.String(), began.At, func() capture.Counts { return sum().counts() }, stop)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	for _, n := range mode.Notes {
		fmt.Fprintln(e.stderr, "xrx: warning:", n)
	}
	l = backlog.New(out, o.keep(), o.buffer<<20)
	said := make(chan struct{})
	go func() { // once it is true: from then on nothing is missed
		defer close(said)
		if until(ctx, r.Registered) == nil {
			fmt.Fprintf(e.stderr, "receiving on %s, %s\n", iface, mode)
		}
	}()
	err = r.Run(ctx, xrx.BatchHandler(l.Take))
	stop()
	<-said
	last := r.Snapshot()
	ended.Store(&last)
	if closeErr := r.Close(); err == nil { // the interface is free before a slow output is
		err = closeErr
	}
	l.Finish()
	if outErr := out.close(last.At); err == nil {
		err = outErr
	}
	sum().print(e.stderr, out)
	return err
}
