package main

import (
	"os"
	"testing"
	"time"

	"xrx/internal/testnet"
	"xrx/internal/vethnet"
)

// The receive loops are this program started again: here, the test binary.
func TestMain(m *testing.M) {
	if len(os.Args) == 7 && os.Args[1] == "-loop" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestEachReceiverCountsWhatWasSent(t *testing.T) {
	testnet.Require(t, "root", "veth")
	dir := t.TempDir()
	xrx, err := buildXRX(dir)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vethnet.Build(vethnet.Options{PeerXDP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	rs, skipped, err := receivers(n.B, dir, xrx, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range skipped {
		t.Log("skipped", s)
	}
	// A packet socket also sees what the end itself sends: the few ICMP errors that it answers with before its rate limit.
	const answers = 50
	b := bench{options{length: 200 * time.Millisecond}, n, xrx}
	for _, rx := range rs {
		s, err := b.measure(rx, load{"slow", "packet", "udp", 200, 4, 1})
		if err != nil {
			t.Errorf("%s: %v", rx.Name(), err)
		} else if s.Received == 0 || s.Received > s.Sent+answers {
			t.Errorf("%s: received %d of %d", rx.Name(), s.Received, s.Sent)
		}
		if err := b.quiet(); err != nil {
			t.Fatalf("%s: %v", rx.Name(), err)
		}
	}
}

func TestOutputOfReceiversIsRead(t *testing.T) {
	for _, c := range []struct {
		name, out string
		parse     func([]byte) (counts, error)
		want      counts
		fails     bool
	}{
		{"of a loop", "ready\n120 3 7\n", threeNumbers, counts{Packets: 120, Batches: 3, Syscalls: 7}, false},
		{"of a loop that printed no figures", "ready\n", threeNumbers, counts{}, true},
		{"of xrx with two queues", `{"type":"interval"}
{"type":"summary","delivered":{"packets":5,"segments":90},"queues":[{"polls":4,"sleeps":2,"wakeups":1},{"polls":5,"sleeps":3}]}
`, xrxSummary, counts{Packets: 90, Batches: 9, Syscalls: 6}, false},
		{"of xrx without a summary", `{"type":"interval"}` + "\n", xrxSummary, counts{}, true},
		{"of testpmd", "RX-packets: 1 \n  RX-packets: 4711  RX-dropped: 0\n", testpmd(&vethnet.End{Iface: "b0"}, "", 1).parse, counts{Packets: 4711, unknown: true}, false},
		{"of testpmd that printed no figures", "hello\n", testpmd(&vethnet.End{Iface: "b0"}, "", 1).parse, counts{}, true},
	} {
		got, err := c.parse([]byte(c.out))
		if (err != nil) != c.fails || !c.fails && got != c.want {
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
	if ls, err := pick("udp64,tcp1500"); err != nil || len(ls) != 2 || ls[1].Proto != "tcp" {
		t.Errorf("got %v, %v", ls, err)
	}
	if _, err := pick("udp64,nothing"); err == nil {
		t.Error("a load that does not exist was picked")
	}
}
