package netdev_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"xrx/internal/netdev"
	"xrx/internal/testnet"
)

func get(t *testing.T, name string) netdev.Info {
	t.Helper()
	i, err := netdev.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestGetTellsWhatAReceiverNeedsToKnow(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 3, MTU: 1400})
	n.InB(func() {
		want := netdev.Info{Name: "b0", Index: n.B.Index, MTU: 1400, Kind: "veth", Driver: "veth", Queues: 3, TxQueues: 3, Up: true}
		if got := get(t, "b0"); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
	if err := n.B.Down(); err != nil {
		t.Fatal(err)
	}
	n.InB(func() {
		if get(t, "b0").Up {
			t.Error("up, though it was set down")
		}
		if lo := get(t, "lo"); lo.Index != 1 || lo.Queues != 1 || lo.Kind != "device" || lo.Driver != "" {
			t.Errorf("lo: %+v", lo)
		}
		for _, name := range []string{"a0", "", "no-such", strings.Repeat("x", 40)} {
			if _, err := netdev.Get(name); err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %v", name, err)
			}
		}
		if _, err := netdev.Get("nosuch0"); err == nil || !strings.Contains(err.Error(), `no interface "nosuch0" here`) {
			t.Error(err)
		}
	})
}

// Each row adds to what the rows before it set up, in namespace B of a pair without IPv6.
func TestLifelineSeesTheDefaultRouteWhereverItLies(t *testing.T) {
	testnet.Require(t, "root", "veth", "cmd:ip")
	t.Setenv("SSH_CONNECTION", "")
	for _, c := range []struct {
		name   string
		set    string // commands for ip(8), separated by ;
		ssh    string
		b0, lo string
	}{
		{"no default route", "", "", "", ""},
		{"a default route through it", "route add default via 10.11.0.1", "", "it carries the default route", ""},
		{"half of one, as tunnels set it", "route add 0.0.0.0/1 via 10.11.0.1", "", "it carries the default route", ""},
		{"one of two hops", "route add default nexthop via 10.11.0.1 nexthop via 10.11.0.77", "", "it carries the default route", ""},
		{"a route to somewhere", "route add 192.0.2.0/24 via 10.11.0.1", "", "", ""},
		{"the session's client is a neighbour", "", "10.11.0.1 50000 10.11.0.2 22", "it carries the SSH session from 10.11.0.1", ""},
		{"and an IPv4 address written as IPv6", "", "::ffff:10.11.0.1 50000 10.11.0.2 22", "it carries the SSH session from ::ffff:10.11.0.1", ""},
		{"the session's client is behind a route", "route add 192.0.2.0/24 via 10.11.0.1", "192.0.2.9 50000 10.11.0.2 22", "it carries the SSH session from 192.0.2.9", ""},
		{"the session's client is unreachable", "", "192.0.2.9 50000 10.11.0.2 22", "", ""},
		{"the session is local", "link set lo up", "127.0.0.1 50000 127.0.0.1 22", "", "it carries the SSH session from 127.0.0.1"},
		{"a link-local client names the interface", "", "fe80::1%b0 50000 fe80::2%b0 22", "it carries the SSH session from fe80::1%b0", ""},
		{"a link-local client on another", "", "fe80::1%eth7 50000 fe80::2%eth7 22", "", ""},
		{"the variable is nonsense", "", "what is this thing", "", ""},
		{"the variable is short", "", "10.11.0.1 50000", "", ""},
		{"a default route over a VLAN on it", "link add link b0 name v7 type vlan id 7; addr add 10.77.0.2/24 dev v7; link set v7 up; route add default via 10.77.0.1", "", "it carries the default route", ""},
		{"a default route over a macvlan on it", "link add link b0 name m7 type macvlan; addr add 10.76.0.2/24 dev m7; link set m7 up; route add default via 10.76.0.1", "", "it carries the default route", ""},
		{"a default route over its bridge", "link add br0 type bridge; link set b0 master br0; addr add 10.78.0.2/24 dev br0; link set br0 up; route add default via 10.78.0.1", "", "it carries the default route", ""},
		{"a default route over a VLAN on its bridge", "link add br0 type bridge; link set b0 master br0; link set br0 up; link add link br0 name v8 type vlan id 8; addr add 10.79.0.2/24 dev v8; link set v8 up; route add default via 10.79.0.1", "", "it carries the default route", ""},
		{"a default route over another interface", "link add d0 type veth peer name d1; addr add 10.80.0.2/24 dev d0; link set d0 up; link set d1 up; route add default via 10.80.0.1", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{MTU: 1200})
			for _, args := range strings.Split(c.set, ";") {
				if args = strings.TrimSpace(args); args != "" {
					out, err := n.B.Exec(t.Context(), "ip", strings.Fields(args)...)
					if strings.Contains(string(out), "Unknown device type") {
						t.Skipf("this kernel can't: ip %s: %s", args, out)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			t.Setenv("SSH_CONNECTION", c.ssh)
			n.InB(func() {
				if got := netdev.Lifeline(get(t, "b0")); got != c.b0 {
					t.Errorf("b0: %q, want %q", got, c.b0)
				}
				if got := netdev.Lifeline(get(t, "lo")); got != c.lo {
					t.Errorf("lo: %q, want %q", got, c.lo)
				}
			})
		})
	}
}

func watch(t *testing.T, n *testnet.Net) (w *netdev.Watch) {
	t.Helper()
	var err error
	n.InB(func() { w, err = netdev.NewWatch(n.B.Index) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func expect(t *testing.T, w *netdev.Watch, want netdev.Kind, within time.Duration) (e netdev.Event) {
	t.Helper()
	select {
	case e = <-w.C:
		if e.Kind != want {
			t.Fatalf("event %v (%+v), want %v", e.Kind, e, want)
		}
		return e
	case <-time.After(within):
		t.Fatalf("no event %v within %v", want, within)
		return e
	}
}

// expectDeleted waits for the end of an interface, which may be seen going down first.
func expectDeleted(t *testing.T, w *netdev.Watch) {
	t.Helper()
	for deadline := time.After(time.Second); ; {
		select {
		case e := <-w.C:
			if e.Kind == netdev.Deleted {
				return
			}
			if e.Kind != netdev.Down && e.Kind != netdev.MTU && e.Kind != netdev.Program {
				t.Fatalf("event %v: %+v", e.Kind, e)
			}
		case <-deadline:
			t.Fatal("the deletion was not told within a second")
		}
	}
}

func TestWatchTellsOfDownUpAndDeletionWithinASecond(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{MTU: 1200})
	const carrier = 3 * time.Second // net/core/link_watch.c tells of it up to a second late
	w := watch(t, n)
	for range 2 {
		if err := n.B.Down(); err != nil {
			t.Fatal(err)
		}
		expect(t, w, netdev.Down, time.Second)
		if err := n.B.Up(); err != nil {
			t.Fatal(err)
		}
		expect(t, w, netdev.Up, carrier)
	}
	if err := n.A.Down(); err != nil { // the carrier goes
		t.Fatal(err)
	}
	expect(t, w, netdev.Down, carrier)
	if err := n.A.Up(); err != nil {
		t.Fatal(err)
	}
	expect(t, w, netdev.Up, carrier)
	if err := n.A.Delete(); err != nil { // and the peer with it
		t.Fatal(err)
	}
	expectDeleted(t, w)
}

func TestWatchTakesAMoveToAnotherNamespaceForADeletion(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{MTU: 1200})
	other := testnet.New(t, testnet.Options{MTU: 1200})
	w := watch(t, n)
	n.InB(func() {
		l, err := netlink.LinkByName("b0")
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetNsFd(l, other.A.FD()); err != nil {
			t.Fatal(err)
		}
	})
	expectDeleted(t, w)
}

// Nobody reads the events before Run; a deletion after a thousand other changes must still be there then.
func TestOtherChangesDoNotCrowdOutADeletion(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{MTU: 1200})
	w := watch(t, n)
	for i := range 1000 { // more than its socket holds, if the reader is slow
		if err := n.B.SetMTU(1200 + i%2); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.B.Delete(); err != nil {
		t.Fatal(err)
	}
	expectDeleted(t, w)
}

func TestWatchClosesWhileEventsWaitAndTwice(t *testing.T) {
	testnet.Require(t, "root", "veth", "cmd:ip")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{MTU: 1200})
	w := watch(t, n)
	for range 40 { // 80 events: more than the channel holds
		if err := n.B.Down(); err != nil {
			t.Fatal(err)
		}
		n.Exec(n.B, "ip", "link", "set", "b0", "up")
	}
	w.Close()
	w.Close()
}

func TestAnInterfaceThatIsNotThereCannotBeWatched(t *testing.T) {
	testnet.Require(t, "root", "netns")
	testnet.NoLeaks(t)
	if _, err := netdev.NewWatch(1 << 30); err == nil {
		t.Error("interface 1073741824 is watched")
	}
	if _, err := net.InterfaceByIndex(1 << 30); err == nil {
		t.Skip("there is such an interface")
	}
}

func TestEventsHaveNames(t *testing.T) {
	for e, want := range map[netdev.Kind]string{netdev.Down: "down", netdev.Up: "up", netdev.Deleted: "deleted", netdev.Renamed: "renamed",
		netdev.MTU: "mtu", netdev.Queues: "queues", netdev.Program: "program"} {
		if e.String() != want {
			t.Errorf("%d is %q, want %q", e, e, want)
		}
	}
}
