package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"xrx/internal/testnet"
	"xrx/own"
	"xrx/stats"
	"xrx/umem"
)

func TestHoldersAreALineForEachStateOfEachQueue(t *testing.T) {
	s := stats.Snapshot{Kept: map[string]uint64{"slow": 3}, Queues: []stats.Queue{
		{Queue: 4, Ledger: umem.Ledger{Total: 64, Free: 1, Filling: 48, Received: 2, Held: 4, Delivered: 8, Sending: 1}}}}
	want := `holder                      packets  frames  limit  bytes  oldest
b0                                -      64      -      -       -
├─ queue 4                        -      64      -      -       -
│  ├─ free                        -       1      -      -       -
│  ├─ filling: the kernel         -      48      -      -       -
│  ├─ received                    -       2      -      -       -
│  ├─ held: GRO                   -       4      -      -       -
│  ├─ delivered: consumers        -       8      -      -       -
│  ├─ sending                     -       1      -      -       -
│  └─ lost                        -       0      -      -       -
└─ tap slow                       -       3      -      -       -
`
	if got := own.Format([]own.Entry{holders("b0", s)}); got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
}

func TestRunPrintsWhoHoldsWhatAtSIGUSR1(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{Queues: 2})
	root := own.New("a consumer's root", 16)
	defer root.Release()
	var complaint transcript
	done, stdout, cancel := runWith(t, n, &complaint, "--frames", "256", "--interval", "10ms")
	stdout.await(t, "it receives", func(s string) bool { return strings.Count(s, "\n") > 2 })
	for range 2 { // it can be asked again
		before := strings.Count(complaint.String(), "holder ")
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		complaint.await(t, "a report", func(s string) bool {
			return strings.Count(s, "holder ") > before && strings.Count(s, "a consumer's root") > before
		})
	}
	cancel()
	if r := <-done; r.code != 0 {
		t.Fatalf("%+v", r)
	}
	for _, want := range []string{"├─ queue 0  ", "└─ queue 1  ", "│  ├─ filling: the kernel", "   └─ lost  "} {
		if !strings.Contains(complaint.String(), want) {
			t.Errorf("%q is not in\n%s", want, complaint.String())
		}
	}
}
