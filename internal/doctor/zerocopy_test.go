package doctor

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"xrx/internal/netdev"
	"xrx/internal/testnet"
)

func TestASocketThatTheKernelDoesNotTellOfIsFoundByTrying(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	take(0)(t, n)
	n.InB(func() {
		i, err := netdev.Get("b0")
		if err != nil {
			t.Fatal(err)
		}
		queue, err := tryZeroCopy(i, []int{0})
		c := checkZeroCopy(i, queue, 0, netdev.Support{}, err)
		if !errors.Is(err, syscall.EBUSY) || c.Verdict != Fail || !strings.Contains(c.Found, "another AF_XDP socket has this queue") {
			t.Errorf("%v: %+v", err, c)
		}
	})
}

func TestZeroCopyIsTriedWhenAndOnlyWhenItMay(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	if err := n.B.DefaultRoute(n.A.IP4); err != nil {
		t.Fatal(err)
	}
	for try, want := range map[Try]string{TryAuto: "not tried: it carries", TryNever: "not tried: so it was asked", TryAlways: "refused: bind b0 queue 0 (zerocopy)"} {
		r := examineB(t, n, "b0", Options{Try: try})
		if c := r.Checks[len(r.Checks)-1]; c.ID != "zero-copy" || !strings.HasPrefix(c.Found, want) {
			t.Errorf("%s: %+v, want %q", try, c, want)
		}
	}
}
