package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"xrx/internal/testnet"
)

// runFlows runs flows on b0 while count TCP segments of 7 flows are sent, until it has told of all, and returns what it wrote.
func runFlows(t *testing.T, count int, told func(stdout string) bool, args ...string) (stdout, stderr string) {
	t.Helper()
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var out, errs screen
	code := make(chan int, 1)
	go func() {
		c := -1
		if err := n.B.Do(func() error {
			c = execute(ctx, env{stdout: &out, stderr: &errs}, append([]string{"flows", n.B.Iface, bigRings}, args...))
			return nil
		}); err != nil {
			errs.Write([]byte(err.Error()))
		}
		code <- c
	}()
	await := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if len(code) > 0 || time.Now().After(deadline) {
				t.Fatalf("still not, or never: %s; stderr %q", what, errs.String())
			}
		}
	}
	await("it receives", func() bool { return strings.Contains(errs.String(), "receiving on b0") })
	n.InA(func() {
		code, _, stderr := runCommand(context.Background(), "gen", "a0", "--engine", "packet", "--proto", "tcp", "--flows", "7", "--size", "1514", "--count", fmt.Sprint(count))
		if code != 0 {
			t.Fatal(stderr)
		}
	})
	await("a report of all packets", func() bool { return told(out.String()) })
	cancel()
	select {
	case c := <-code:
		if c != 0 {
			t.Fatalf("code %d, stderr %q", c, errs.String())
		}
	case <-time.After(20 * time.Second):
		t.Fatal("does not end")
	}
	if !strings.Contains(errs.String(), "\ndropped 0: 0 by the kernel, 0 by xrx\n") || strings.Contains(errs.String(), "frames total") {
		t.Errorf("summary %q", errs.String())
	}
	return out.String(), errs.String()
}

func TestFlowRecordsAddUpToWhatWasSent(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	type record struct {
		Type, Proto, Reason, Src, Dst string
		Sport, Dport, IP              int
		Packets, Bytes, Retransmits   int
		First, Last                   time.Time
	}
	stdout, _ := runFlows(t, 2100, func(stdout string) bool {
		packets := 0
		for line := range strings.Lines(stdout) {
			var r record
			if json.Unmarshal([]byte(line), &r) == nil && r.Proto == "tcp" { // the last line may be half of one
				packets += r.Packets
			}
		}
		return packets >= 2100
	}, "--json", "--interval", "50ms")
	packets, size, ports := 0, 0, map[int]int{}
	for line := range strings.Lines(stdout) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Type != "flow" || r.First.IsZero() || r.Last.Before(r.First) {
			t.Fatalf("%q: %v", line, err)
		}
		if r.Proto != "tcp" {
			continue
		}
		packets, size = packets+r.Packets, size+r.Bytes
		ports[r.Sport<<16|r.Dport] += r.Packets
		if r.Retransmits != 0 || r.IP != 4 {
			t.Errorf("%+v", r)
		}
	}
	if packets != 2100 || size != 2100*1514 || len(ports) != 7 {
		t.Errorf("%d packets, %d bytes, flows %v", packets, size, ports)
	}
}

func TestFlowsShowsTheTopTalkersAgainAndAgain(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	stdout, stderr := runFlows(t, 700, func(stdout string) bool {
		return slices.ContainsFunc(strings.Split(stdout, "\n\n"), func(table string) bool { return strings.Count(table, " 151,400 ") == 3 })
	}, "--top", "3", "--sort", "packets", "--interval", "50ms")
	tables := strings.Split(strings.TrimSpace(stdout), "\n\n")
	last := strings.Split(tables[len(tables)-1], "\n")
	if len(last) != 5 || !strings.HasPrefix(last[0], "b0  ") || !strings.Contains(last[0], " 0 retransmits") {
		t.Fatalf("last table %q", last)
	}
	for _, l := range last[2:] {
		if f := strings.Fields(l); f[0] != "tcp" || f[1] != "151,400" || f[2] != "100" {
			t.Errorf("line %q", l)
		}
	}
	if !strings.Contains(stderr, "0 flows evicted, 0 records lost") {
		t.Errorf("summary %q", stderr)
	}
}

// broken is an output that can't be written.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("the pipe is broken") }

func TestFlowsEndsWhenItsOutputFails(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	var stderr screen
	code := 0
	n.InB(func() {
		code = execute(context.Background(), env{stdout: broken{}, stderr: &stderr}, []string{"flows", n.B.Iface, "--interval", "10ms"})
	})
	if code != 1 || !strings.Contains(stderr.String(), "the pipe is broken") {
		t.Errorf("code %d, stderr %q", code, stderr.String())
	}
}
