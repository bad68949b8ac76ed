package doctor

import (
	"testing"

	"golang.org/x/sys/unix"

	"xrx/internal/testnet"
)

func TestNothingIsChangedOnTheInterface(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp", "cmd:ip")
	for _, c := range []struct {
		name, iface, set string
		defect           func(*testing.T, *testnet.Net)
	}{
		{"a veth", "b0", "", nil},
		{"a veth with a program", "b0", "", byNetlink(unix.XDP_FLAGS_DRV_MODE)},
		{"a veth with a socket on one of two queues", "b0", "", take(0)},
		{"the loopback", "lo", "link set lo up", nil},
		{"a bridge", "br0", "link add br0 type bridge", nil},
		{"a macvlan", "m0", "link add link b0 name m0 type macvlan", nil},
		{"a dummy", "d0", "link add d0 type dummy", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{Queues: 2, MTU: 1200})
			if c.set != "" {
				ip(t, n, c.set)
			}
			if c.defect != nil {
				c.defect(t, n)
			}
			n.InB(func() {
				details := func() string {
					return n.Exec(n.B, "ip", "-d", "link", "show", "dev", c.iface)
				}
				before, shown := testnet.State(t, c.iface), details()
				if _, err := Examine(c.iface, Options{Try: TryAlways}); err != nil {
					t.Fatal(err)
				}
				testnet.SameState(t, before, testnet.State(t, c.iface))
				if now := details(); now != shown {
					t.Errorf("ip -d link: %s\nwas %s", now, shown)
				}
			})
		})
	}
}
