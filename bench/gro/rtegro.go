package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"xrx/bench/internal/lab"
	"xrx/bench/internal/traces"
)

// dpdk is the program rtegro, kept running between measurements: DPDK takes longer to start than a sample takes.
type dpdk struct {
	dir    string // program and traces
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
}

// startDPDK builds and starts rtegro on one processor. errAbsent says that DPDK is not installed.
func startDPDK(cpu int, ts []traces.Trace) (_ *dpdk, err error) {
	d := &dpdk{}
	if d.dir, err = os.MkdirTemp("", "xrx-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(d.dir)
		}
	}()
	bin := filepath.Join(d.dir, "rtegro")
	if err := lab.BuildC(bin, filepath.Join(lab.Dir(), "gro/rtegro/rtegro.c"), "libdpdk"); err != nil {
		return nil, fmt.Errorf("%w: %w (Debian: apt-get install dpdk-dev libdpdk-dev)", errAbsent, err)
	}
	for _, t := range ts {
		if err := t.WriteFile(d.trace(&t)); err != nil {
			return nil, err
		}
	}
	d.cmd = exec.Command(bin, "--no-huge", "--no-pci", "--no-telemetry", "-m", "128",
		"--file-prefix", filepath.Base(d.dir),
		"-l", fmt.Sprint(cpu), "--log-level", "lib.eal:error")
	d.cmd.Stderr = &d.stderr
	d.cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+d.dir) // not /var/run
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.out = bufio.NewReader(out)
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	for line := ""; line != "ready\n"; {
		if line, err = d.out.ReadString('\n'); err != nil {
			d.cmd.Wait()
			return nil, fmt.Errorf("%w: rtegro did not start: %s", errAbsent, strings.TrimSpace(d.stderr.String()))
		}
	}
	return d, nil
}

func (d *dpdk) trace(t *traces.Trace) string { return filepath.Join(d.dir, t.Name) }

// ask measures one trace in one of rtegro's modes.
func (d *dpdk) ask(t *traces.Trace, mode string, length time.Duration) (s sample, err error) {
	s.Allocs = -1
	if _, err := fmt.Fprintln(d.in, d.trace(t), mode, length.Milliseconds()); err != nil {
		return s, err
	}
	if _, err := fmt.Fscanln(d.out, &s.NS, &s.Ratio, &s.Removed); err != nil {
		return s, fmt.Errorf("rtegro: %w: %s", err, d.stderr.String())
	}
	return s, nil
}

// close ends the program; all modes share it, and each calls this.
func (d *dpdk) close() error {
	if d.in == nil {
		return nil
	}
	err := errors.Join(d.in.Close(), d.cmd.Wait())
	os.RemoveAll(d.dir)
	d.in = nil
	return err
}

// rteGRO is one mode of rtegro as an engine.
type rteGRO struct {
	*dpdk
	name, mode string
}

// rteModes are rtegro's modes by the names that they have in the table.
var rteModes = [][2]string{
	{"DPDK, pass-through", "pass"},
	{"DPDK rte_gro, no parse, not verified", "gro"},
	{"DPDK rte_gro, packet type, verified", "gro+csum"},
}

func (e rteGRO) Name() string            { return e.name }
func (e rteGRO) Runs(*traces.Trace) bool { return true }
func (e rteGRO) Close() error            { return e.close() }
func (e rteGRO) Measure(t *traces.Trace, d time.Duration) (sample, error) {
	return e.ask(t, e.mode, d)
}
