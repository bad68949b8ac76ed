package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"xrx/internal/vethnet"
)

// load is what is sent.
type load struct {
	Name   string `json:"name"`
	Engine string `json:"engine"` // of xrx gen
	Proto  string `json:"proto"`
	Size   int    `json:"size"` // bytes of a frame, without FCS
	Flows  int    `json:"flows"`
	Burst  int    `json:"burst"` // frames of one flow in a row
}

// loads are the workloads by name. A queue of a veth pair holds 256 frames and a poll of its NAPI takes 64.
var loads = []load{
	{"udp64", "live", "udp", 64, 64, 1},
	{"udp512", "live", "udp", 512, 64, 1},
	{"udp1500", "live", "udp", 1514, 64, 1},
	{"tcp1500", "live", "tcp", 1514, 8, 16},
	{"xsk64", "xsk", "udp", 64, 64, 1},
	{"packet64", "packet", "udp", 64, 64, 1},
	{"udp64x10k", "live", "udp", 64, 10000, 1},
}

// sent is the source's own summary.
type sent struct {
	Frames  uint64        `json:"frames"`
	Elapsed float64       `json:"elapsed_s"`
	cpu     time.Duration // that it got
}

// send runs the source in end A's namespace for some time, on one processor.
func (l load) send(a *vethnet.End, xrx string, cpu int, d time.Duration) (s sent, err error) {
	args := []string{"-c", strconv.Itoa(cpu), xrx, "gen", a.Iface, "--json", "--engine", l.Engine, "--proto", l.Proto,
		"--size", strconv.Itoa(l.Size), "--flows", strconv.Itoa(l.Flows), "--burst", strconv.Itoa(l.Burst),
		"--duration", d.String(), "--cpu", strconv.Itoa(cpu)}
	ctx, cancel := context.WithTimeout(context.Background(), d+10*time.Second)
	defer cancel()
	cmd, start := a.Command(ctx, "taskset", args...)
	out, err := output(cmd, start)
	if err != nil {
		return s, fmt.Errorf("xrx gen: %w", err)
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return s, fmt.Errorf("xrx gen: %w", err)
	}
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return s, nil
}

// output is cmd.Output for a command that is started by another function.
func output(cmd *exec.Cmd, start func() error) ([]byte, error) {
	var out, said limited
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.SysProcAttr = sysProcAttr(cmd.SysProcAttr)
	if err := start(); err != nil {
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, said)
	}
	return out, nil
}

// limited keeps the first 64 KiB written to it.
type limited []byte

func (l *limited) Write(b []byte) (int, error) {
	*l = append(*l, b[:min(len(b), 1<<16-len(*l))]...)
	return len(b), nil
}
