package rig

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"xrx/internal/testnet"
)

func TestEachReceiverCountsWhatWasSent(t *testing.T) {
	testnet.Require(t, "root", "veth")
	if runtime.NumCPU() < 2 {
		t.Skip("needs two processors")
	}
	g, err := New(Options{CPU: 1, Length: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}()
	rs := append(g.Receivers(), g.LoopOf("held", "xrx", "-held", "50"), g.Run("latency", "", "--gro off --latency"))
	if p := g.C("poll", "latency"); p != nil {
		rs = append(rs, p.Named("C latency"))
	}
	for _, s := range g.Skipped {
		t.Log("skipped", s)
	}
	// A packet socket also sees what the end itself sends: the few ICMP errors that it answers with before its rate limit.
	const answers = 50
	for _, rx := range rs {
		stamped := strings.Contains(rx.Name(), "latency")
		s, err := g.Measure(rx, Load{Name: "slow", Engine: "packet", Proto: "udp", Size: 200, Flows: 4, Burst: 1, Stamp: stamped})
		if err != nil {
			t.Errorf("%s: %v", rx.Name(), err)
		} else if s.Received == 0 || s.Received > s.Sent+answers {
			t.Errorf("%s: received %d of %d", rx.Name(), s.Received, s.Sent)
		}
		if l := s.Latency; stamped && (l == nil || l.Packets == 0 || l.P50 <= 0 || l.Max < l.P50) {
			t.Errorf("%s: latency %+v", rx.Name(), l)
		}
		if err := g.Quiet(); err != nil {
			t.Fatalf("%s: %v", rx.Name(), err)
		}
	}
}

func TestASeatIsStoppedButForItsTurns(t *testing.T) {
	testnet.Require(t, "root", "veth")
	if runtime.NumCPU() < 2 {
		t.Skip("needs two processors")
	}
	g, err := New(Options{CPU: 1, Length: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}()
	s, err := g.Seat(func(g *Rig) *Program { return g.Run("xrx", "", "--gro off") })
	if err != nil {
		t.Fatal(err)
	}
	stopped := func() bool { // proc_pid_stat(5): the state follows the name in parentheses
		for range 1000 {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.w.PID()))
			if err != nil {
				t.Fatal(err)
			}
			if _, after, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(after, "T") {
				return true
			}
			time.Sleep(time.Millisecond)
		}
		return false
	}
	var sent uint64
	for range 3 {
		if !stopped() {
			t.Error("it runs between turns")
		}
		x, err := s.Turn(Load{Name: "slow", Engine: "packet", Proto: "udp", Size: 200, Flows: 4, Burst: 1, Rate: 20000})
		if err != nil {
			t.Fatal(err)
		}
		if x.CPU <= 0 || x.Seconds <= 0 || x.Sent == 0 {
			t.Errorf("a turn: %+v", x)
		}
		sent += x.Sent
	}
	c, err := s.Leave()
	if err != nil || c.Packets == 0 || c.Packets > sent {
		t.Errorf("received %d of %d: %v", c.Packets, sent, err)
	}
}

func TestOutputOfReceiversIsRead(t *testing.T) {
	for _, c := range []struct {
		name, out string
		parse     func([]byte) (Counts, error)
		want      Counts
		fails     bool
	}{
		{"of a loop", "ready\n{\"packets\":120,\"batches\":3,\"syscalls\":7,\"ages\":[]}\n", loopCounts, Counts{Packets: 120, Batches: 3, Syscalls: 7}, false},
		{"of a loop that printed no figures", "ready\n", loopCounts, Counts{}, true},
		{"of xrx with two queues", `{"type":"interval"}
{"type":"summary","delivered":{"packets":5,"segments":90},"queues":[{"polls":4,"sleeps":2,"wakeups":1},{"polls":5,"sleeps":3}]}
`, xrxSummary, Counts{Packets: 90, Batches: 9, Syscalls: 6}, false},
		{"of xrx without a summary", `{"type":"interval"}` + "\n", xrxSummary, Counts{}, true},
		{"of testpmd", "RX-packets: 1 \n  RX-packets: 4711  RX-dropped: 0\n", testpmdCounts, Counts{Packets: 4711, unknown: true}, false},
		{"of xrx dump", "receiving on b0\n1,234,567 packets received, 1,234,567 delivered (1.0 to 1), 1,234,000 written\n", dumpSummary, Counts{Packets: 1234000, unknown: true}, false},
		{"of testpmd that printed no figures", "hello\n", testpmdCounts, Counts{}, true},
	} {
		got, err := c.parse([]byte(c.out))
		if (err != nil) != c.fails || !c.fails && (got.Packets != c.want.Packets || got.Batches != c.want.Batches || got.Syscalls != c.want.Syscalls || got.unknown != c.want.unknown) {
			t.Errorf("%s: got %+v, %v", c.name, got, err)
		}
	}
}

func TestProcessorTimeOfThisProcessGrowsWithWork(t *testing.T) {
	before, err := processorTime(os.Getpid())
	if err != nil {
		t.Skip("this kernel keeps no schedstat: ", err)
	}
	const work = 30 * time.Millisecond
	deadline := time.Now().Add(10 * time.Second)
	for {
		now, err := processorTime(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if now-before >= work {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v of processor time in 10 s of work", now-before)
		}
	}
}

func TestLoadsArePickedByName(t *testing.T) {
	if ls, err := Pick("udp64,tcp1500"); err != nil || len(ls) != 2 || ls[1].Proto != "tcp" {
		t.Errorf("got %v, %v", ls, err)
	}
	if _, err := Pick("udp64,nothing"); err == nil {
		t.Error("a load that does not exist was picked")
	}
}
