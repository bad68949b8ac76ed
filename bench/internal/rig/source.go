package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"xrx/internal/vethnet"
)

// Load is what is sent.
type Load struct {
	Name   string `json:"name"`
	Engine string `json:"engine"` // of xrx gen
	Proto  string `json:"proto"`
	Size   int    `json:"size"` // bytes of a frame, without FCS
	Flows  int    `json:"flows"`
	Burst  int    `json:"burst"` // frames of one flow in a row

	Rate  float64 `json:"rate_pps,omitempty"` // 0: as fast as it goes
	Stamp bool    `json:"stamped,omitempty"`
}

// Loads are the workloads by name. A queue of a veth pair holds 256 frames and a poll of its NAPI takes 64.
var Loads = []Load{
	{Name: "udp64", Engine: "live", Proto: "udp", Size: 64, Flows: 64, Burst: 1},
	{Name: "tcp1500", Engine: "live", Proto: "tcp", Size: 1514, Flows: 8, Burst: 16},
	{Name: "udp64x1", Engine: "live", Proto: "udp", Size: 64, Flows: 1, Burst: 1},
	{Name: "udp64x10k", Engine: "live", Proto: "udp", Size: 64, Flows: 10000, Burst: 1},
	{Name: "udp512", Engine: "live", Proto: "udp", Size: 512, Flows: 64, Burst: 1},
	{Name: "udp1500", Engine: "live", Proto: "udp", Size: 1514, Flows: 64, Burst: 1},
	{Name: "tcp1500x1", Engine: "live", Proto: "tcp", Size: 1514, Flows: 1, Burst: 64},
	{Name: "xsk64", Engine: "xsk", Proto: "udp", Size: 64, Flows: 64, Burst: 1},
	{Name: "xsk1500", Engine: "xsk", Proto: "udp", Size: 1514, Flows: 64, Burst: 1},
	{Name: "packet64", Engine: "packet", Proto: "udp", Size: 64, Flows: 64, Burst: 1},
	{Name: "packet1500", Engine: "packet", Proto: "tcp", Size: 1514, Flows: 8, Burst: 16},
}

// Sent is the source's own summary.
type Sent struct {
	Frames  uint64        `json:"frames"`
	Sending float64       `json:"sending_s"` // without what the source does before its first frames
	Late    *Late         `json:"late"`      // of a stamped load
	cpu     time.Duration // that it got
}

// Send runs the source in end A's namespace for some time, on one processor.
func (l Load) Send(a *vethnet.End, xrx string, cpu int, d time.Duration) (s Sent, err error) {
	args := []string{"-c", strconv.Itoa(cpu), xrx, "gen", a.Iface, "--json", "--engine", l.Engine, "--proto", l.Proto,
		"--size", strconv.Itoa(l.Size), "--flows", strconv.Itoa(l.Flows), "--burst", strconv.Itoa(l.Burst),
		"--duration", d.String(), "--cpu", strconv.Itoa(cpu)}
	if l.Rate > 0 {
		args = append(args, "--rate", strconv.FormatFloat(l.Rate, 'f', -1, 64))
	}
	if l.Stamp {
		args = append(args, "--stamp")
	}
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

// Late is by how much the source itself was behind its schedule, seconds: latency that is no receiver's.
type Late struct {
	P50  float64 `json:"p50_s"`
	P99  float64 `json:"p99_s"`
	P999 float64 `json:"p999_s"`
	Max  float64 `json:"max_s"`
}

// Pick returns loads by their comma separated names.
func Pick(names string) (ls []Load, err error) {
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(Loads, func(l Load) bool { return l.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no load %q", name)
		}
		ls = append(ls, Loads[i])
	}
	return ls, nil
}
