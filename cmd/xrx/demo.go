package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"xrx"
	"xrx/gro"
	"xrx/internal/vethnet"
	"xrx/stats"
)

// scene is one act of the demo: traffic, and what the receiver makes of it.
type scene struct {
	title string
	gen   []string
}

var scenes = []scene{
	{"UDP, 64-byte frames of 256 flows, as fast as the generator goes", []string{"--proto", "udp", "--flows", "256", "--size", "64"}},
	{"TCP, 1514-byte frames of 16 flows in bursts of 32, merged by GRO", []string{"--proto", "tcp", "--flows", "16", "--burst", "32", "--size", "1514"}},
}

func newDemoCmd(e env) *cobra.Command {
	var seconds time.Duration
	c := &cobra.Command{
		Use:   "demo",
		Short: "Generate, receive, merge and report over a veth pair of its own",
		Long:  "demo builds two network namespaces joined by a veth pair, sends from one, receives in the other with GRO,\nprints the report, and removes everything again. It needs root and touches no existing interface.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if seconds < 100*time.Millisecond || seconds > time.Minute {
				return usagef("--time %v: want 100ms to 1m", seconds)
			}
			return demo(c.Context(), e, seconds)
		},
	}
	c.Flags().DurationVar(&seconds, "time", 3*time.Second, "how long to send in each scene")
	return c
}

func demo(ctx context.Context, e env, seconds time.Duration) (err error) {
	net, err := vethnet.Build(vethnet.Options{})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	fmt.Fprintf(e.stdout, "two network namespaces, %s --veth-- %s; the generator is a process of its own", net.A.Iface, net.B.Iface)
	pins := pinning()
	if pins.gen != "" {
		fmt.Fprintf(e.stdout, " on processor %s, the receiver on %d", pins.gen, pins.receiver[0])
	}
	fmt.Fprintln(e.stdout)
	for i, s := range scenes {
		fmt.Fprintf(e.stdout, "\n%d. %s\n\n", i+1, s.title)
		if err := s.play(ctx, e, net, pins, seconds); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

// pins says who runs where: the generator, with the kernel's half of receiving, apart from the receiver.
type pins struct {
	gen      string
	receiver []int
}

func pinning() pins {
	if runtime.NumCPU() < 2 {
		return pins{}
	}
	return pins{"0", []int{1}}
}

func (s scene) play(ctx context.Context, e env, net *vethnet.Net, p pins, seconds time.Duration) (err error) {
	var r *xrx.Receiver
	if err := net.InB(func() (err error) {
		rarelyCollect()
		r, err = xrx.Open(net.B.Iface, &xrx.Config{GRO: &gro.Config{}, CPUs: p.receiver})
		return err
	}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(runCtx, xrx.Handler(func(xrx.Packet) {})) }()
	if err := until(ctx, func() bool { return r.Registered() || len(ended) > 0 }); err != nil {
		return err
	}
	began := r.Snapshot()
	sent, err := generate(ctx, net, p, append(s.gen, "--duration", seconds.String()))
	last := r.Snapshot()
	stop()
	runErr := <-ended // what was still on the ring is delivered by now
	final := r.Snapshot()
	if err := errors.Join(err, runErr); err != nil {
		return err
	}
	final.At = last.At // rates cover the time in which there was traffic
	m := r.Mode()
	report := stats.NewReport("summary", net.B.Iface, stats.Mode{Attach: m.Attach, Bind: m.Bind, Reason: m.Reason}, began.At, began, final)
	report.WriteText(e.stdout)
	account(e, sent, report)
	return nil
}

// generate runs `xrx gen` in a process of its own, so that its processor time is not the receiver's.
func generate(ctx context.Context, net *vethnet.Net, p pins, args []string) (sent genSummary, err error) {
	self, err := os.Executable()
	if err != nil {
		return sent, err
	}
	args = append([]string{"gen", net.A.Iface, "--json"}, args...)
	if p.gen != "" {
		args = append(args, "--cpu", p.gen)
	}
	var out, complaint bytes.Buffer
	cmd, start := net.A.Command(ctx, self, args...)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it then still says what it sent
	if err := start(); err != nil {
		return sent, err
	}
	if err := cmd.Wait(); err != nil && ctx.Err() == nil {
		return sent, fmt.Errorf("generator: %w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	if err := json.Unmarshal(out.Bytes(), &sent); err != nil {
		return sent, fmt.Errorf("generator said %q: %w", out.String(), err)
	}
	return sent, nil
}

// account follows every generated frame to its end.
func account(e env, sent genSummary, r stats.Report) {
	kernel := r.Kernel.Lost()
	elsewhere := int64(sent.Frames) - int64(r.Rx.Packets) - int64(kernel)
	fmt.Fprintf(e.stdout, "%-11s %s sent (engine %s) = %s received + %s dropped for want of a frame or of ring room + %d unaccounted\n",
		"accounting", stats.Count(sent.Frames), sent.Engine, stats.Count(r.Rx.Packets), stats.Count(kernel), elsewhere)
}

// until waits for a condition.
func until(ctx context.Context, ok func() bool) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
