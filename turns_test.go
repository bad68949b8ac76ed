package xrx_test

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"xrx"
	"xrx/internal/testnet"
)

// shortTurns is how many threads of this process have asked for the least time slice.
func shortTurns(t *testing.T) (n int) {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range threads {
		tid, _ := strconv.Atoi(e.Name())
		if a, err := unix.SchedGetAttr(tid, 0); err == nil && a.Runtime == 100_000 { // one may have ended
			n++
		}
	}
	return n
}

func TestThreadsThatPollHaveShortTurnsWhileTheyPoll(t *testing.T) {
	testnet.Require(t, "root", "veth")
	if a, err := unix.SchedGetAttr(0, 0); err != nil || a.Runtime == 0 {
		t.Skip("threads have no time slices of their own before Linux 6.12")
	}
	n := testnet.New(t, testnet.Options{Queues: 2})
	for _, cpus := range [][]int{nil, {0, 1}} {
		r := open(t, n, &xrx.Config{CPUs: cpus})
		u := run(t, r, xrx.Handler(func(xrx.Packet) {}))
		eventually(t, patience, "both threads have short turns", func() bool { return shortTurns(t) == 2 })
		if err := u.end(); err != nil {
			t.Error(err)
		}
		eventually(t, patience, "no thread is left with them", func() bool { return shortTurns(t) == 0 })
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
