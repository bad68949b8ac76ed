// Package rig is a veth pair between two network namespaces with a source at one end and receivers, one after the other,
// at the other: what the benchmarks of receivers share. It needs root.
package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"xrx/bench/internal/lab"
	"xrx/internal/vethnet"
)

// Options says what a rig is made of.
type Options struct {
	SourceCPU int           // processor of the source, and of the kernel's side of the veth pair
	CPU       int           // processor of the receiver
	Queues    int           // of each end; 0: 1
	Length    time.Duration // of a sample
	Most      float64       // percent of a processor that others may take before a sample is repeated
	Tries     int           // but not more often than this
	XRX       string        // measure this xrx instead of one built from this repository
	Flags     string        // more flags for xrx run
}

// Rig is the network and the programs.
type Rig struct {
	Options
	Net     *vethnet.Net
	Dir     string // what is built, and what receivers leave while they run
	Loop    string // bench/loop
	CXSK    string // "" if it can't be built
	Skipped []string
	restore func()
}

// New builds programs and network. It locks the calling goroutine to its thread: children end with the thread that
// started them.
func New(o Options) (_ *Rig, err error) {
	runtime.LockOSThread()
	g := &Rig{Options: o}
	g.Tries, g.Queues = max(1, g.Tries), max(1, g.Queues)
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
		}
	}()
	for _, tool := range []string{"taskset", "stdbuf"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, err
		}
	}
	if runtime.NumCPU() <= max(o.SourceCPU, o.CPU) {
		return nil, fmt.Errorf("source on processor %d, receiver on %d: there are %d", o.SourceCPU, o.CPU, runtime.NumCPU())
	}
	if g.Dir, err = os.MkdirTemp("", "xrx-bench-"); err != nil {
		return nil, err
	}
	if g.XRX == "" {
		g.XRX = filepath.Join(g.Dir, "xrx")
		if err := goBuild(g.XRX, lab.Root(), "./cmd/xrx"); err != nil {
			return nil, err
		}
	}
	g.Loop = filepath.Join(g.Dir, "loop")
	if err := goBuild(g.Loop, lab.Dir(), "./loop"); err != nil {
		return nil, err
	}
	g.CXSK = filepath.Join(g.Dir, "cxsk")
	if err := lab.BuildC(g.CXSK, filepath.Join(lab.Dir(), "internal/rig/cxsk/cxsk.c"), "libxdp", "-lbpf"); err != nil {
		g.CXSK = ""
		g.Skipped = append(g.Skipped, fmt.Sprintf("C libxdp: %v (Debian: apt-get install libxdp-dev libbpf-dev)", err))
	}
	if g.restore, err = lab.Urgent(); err != nil {
		return nil, err
	}
	g.endWithSignals()
	return g, g.Rebuild(g.Queues)
}

// endWithSignals has Ctrl-C and SIGTERM leave nothing behind. Programs and networks go with the process: children are killed, and
// namespaces without a name or a process are no more.
func (g *Rig) endWithSignals() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGINT, unix.SIGTERM)
	go func() {
		sig := (<-c).(unix.Signal)
		g.restore()
		os.RemoveAll(g.Dir)
		os.Exit(128 + int(sig))
	}()
}

// Rebuild makes the network anew, with another number of queues.
func (g *Rig) Rebuild(queues int) (err error) {
	if g.Net != nil {
		if err := g.Net.Close(); err != nil {
			return err
		}
		g.Net = nil
	}
	g.Queues = queues
	g.Net, err = vethnet.Build(vethnet.Options{Queues: queues, PeerXDP: true})
	return err
}

// Close removes everything.
func (g *Rig) Close() (err error) {
	if g.Net != nil {
		err = g.Net.Close()
	}
	if g.restore != nil {
		g.restore()
	}
	if g.Dir != "" {
		err = errors.Join(err, os.RemoveAll(g.Dir))
	}
	return err
}

// goBuild builds a command, with its profile if it has one.
func goBuild(bin, dir, path string, flags ...string) error {
	args := append(append([]string{"build", "-o", bin}, flags...), path)
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", path, err, tail(string(out)))
	}
	return nil
}

// BuildXRX builds xrx as name into the rig's folder, with more flags for go build.
func (g *Rig) BuildXRX(name string, flags ...string) (bin string, err error) {
	bin = filepath.Join(g.Dir, name)
	return bin, goBuild(bin, lab.Root(), "./cmd/xrx", flags...)
}

// tail is the end of what a program printed, for errors.
func tail(s string) string { return s[max(0, len(s)-600):] }
