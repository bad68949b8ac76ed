package testnet

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"xrx/internal/vethnet"
)

func TestNetworkIsBuiltAsAsked(t *testing.T) {
	Require(t, "root", "veth")
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"defaults", Options{}},
		{"four queues and a large MTU", Options{Queues: 4, MTU: 9000}},
		{"more receive than send queues", Options{Queues: 4, QueuesA: 1}},
		{"own names and a passing program on the sender", Options{IfA: "left.7", IfB: "right", PeerXDP: true}},
		{"an MTU too small for IPv6", Options{MTU: 600}},
	} {
		t.Run(c.name, func(t *testing.T) {
			NoLeaks(t)
			n := New(t, c.o)
			for _, e := range []*End{n.A, n.B} {
				l, err := e.Link()
				if err != nil {
					t.Fatal(err)
				}
				a := l.Attrs()
				queues := n.Queues
				if e == n.A {
					queues = n.QueuesA
				}
				if a.NumRxQueues != queues || a.NumTxQueues != queues {
					t.Errorf("%s: %d rx and %d tx queues, want %d", e.Iface, a.NumRxQueues, a.NumTxQueues, queues)
				}
				if a.MTU != n.MTU || a.OperState != netlink.OperUp || a.HardwareAddr.String() != e.MAC.String() {
					t.Errorf("%s: mtu %d state %v mac %v, want %d up %v", e.Iface, a.MTU, a.OperState, a.HardwareAddr, n.MTU, e.MAC)
				}
				if got := a.Xdp != nil && a.Xdp.Attached; got != (c.o.PeerXDP && e == n.A) {
					t.Errorf("%s: XDP attached: %v", e.Iface, got)
				}
			}
		})
	}
}

func TestNetworkIsSilentUntilSomebodySends(t *testing.T) {
	Require(t, "root", "veth")
	NoLeaks(t)
	n := New(t, Options{})
	time.Sleep(1500 * time.Millisecond) // the silence itself is what is measured
	for _, e := range []*End{n.A, n.B} {
		s, err := e.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if s.RxPackets != 0 || s.TxPackets != 0 {
			t.Errorf("%s: %d frames received, %d sent by nobody", e.Iface, s.RxPackets, s.TxPackets)
		}
	}
}

func TestOrdinarySocketsTalkOverTheSilentNetwork(t *testing.T) {
	Require(t, "root", "veth")
	NoLeaks(t)
	n := New(t, Options{})
	talk(t, n)
	for _, e := range []*End{n.B, n.A} {
		if err := errors.Join(e.Down(), e.Up()); err != nil {
			t.Fatal(err)
		}
	}
	talk(t, n) // and after both were down
}

func talk(t *testing.T, n *Net) {
	for _, c := range []struct{ name, from, to string }{
		{"IPv4", n.A.IP4.String(), n.B.IP4.String()},
		{"IPv6", n.A.IP6.String(), n.B.IP6.String()},
	} {
		t.Run(c.name, func(t *testing.T) {
			var server net.PacketConn
			var client net.Conn
			var err error
			n.InB(func() { server, err = net.ListenPacket("udp", net.JoinHostPort(c.to, "0")) })
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			n.InA(func() { client, err = net.Dial("udp", server.LocalAddr().String()) })
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := client.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			if err := server.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 16)
			k, from, err := server.ReadFrom(buf)
			if err != nil || string(buf[:k]) != "hello" {
				t.Fatalf("read %q: %v", buf[:k], err)
			}
			if host, _, _ := net.SplitHostPort(from.String()); host != c.from {
				t.Errorf("from %s, want %s", host, c.from)
			}
		})
	}
}

func TestLinkGoesDownUpAndAway(t *testing.T) {
	Require(t, "root", "veth")
	NoLeaks(t)
	n := New(t, Options{})
	state := func() netlink.LinkOperState {
		l, err := n.B.Link()
		if err != nil {
			t.Fatal(err)
		}
		return l.Attrs().OperState
	}
	if err := n.B.Down(); err != nil || state() != netlink.OperDown {
		t.Errorf("down: %v, state %v", err, state())
	}
	if err := n.B.Up(); err != nil || state() != netlink.OperUp {
		t.Errorf("up: %v, state %v", err, state())
	}
	if err := n.B.SetMTU(1300); err != nil {
		t.Error(err)
	}
	if l, _ := n.B.Link(); l.Attrs().MTU != 1300 {
		t.Errorf("mtu %d, want 1300", l.Attrs().MTU)
	}
	if err := n.B.Delete(); err != nil {
		t.Error(err)
	}
	if _, err := n.A.Link(); err == nil {
		t.Error("the peer of a deleted interface is still there")
	}
}

func TestOffloadsAndSettingsReachTheKernel(t *testing.T) {
	Require(t, "root", "veth")
	NoLeaks(t)
	n := New(t, Options{})
	if err := n.B.SetOffload(vethnet.GRO, true); err != nil {
		t.Error(err)
	}
	if err := n.B.SysClass("gro_flush_timeout", "1000000"); err != nil {
		t.Error(err)
	}
	if err := n.B.SysClass("no_such_setting", "1"); err == nil {
		t.Error("an unknown setting was accepted")
	}
	if err := n.A.Sysctl("ipv4/ip_forward", "1"); err != nil {
		t.Error(err)
	}
	var got []byte
	n.InA(func() { got, _ = os.ReadFile("/proc/sys/net/ipv4/ip_forward") })
	if strings.TrimSpace(string(got)) != "1" {
		t.Errorf("ip_forward in A reads %q", got)
	}
	n.InB(func() { got, _ = os.ReadFile("/proc/sys/net/ipv4/ip_forward") })
	if strings.TrimSpace(string(got)) != "0" {
		t.Errorf("ip_forward in B reads %q", got)
	}
}

func TestNamedNamespacesAreFoundAndRemoved(t *testing.T) {
	Require(t, "root", "veth")
	NoLeaks(t)
	o := Options{NameA: UniqueName("xrx-a"), NameB: UniqueName("xrx-b")}
	n, err := vethnet.Build(o)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if _, err := os.Stat("/run/netns/" + o.NameA); err != nil {
		t.Error(err)
	}
	if _, err := vethnet.Build(Options{NameA: o.NameA, NameB: UniqueName("xrx-b")}); err == nil {
		t.Error("a name that is taken was accepted")
	}
	if _, err := os.Stat("/run/netns/" + o.NameA); err != nil {
		t.Errorf("the failed attempt removed another's namespace: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{o.NameA, o.NameB} {
		if _, err := os.Stat("/run/netns/" + name); !os.IsNotExist(err) {
			t.Errorf("namespace %s is left behind: %v", name, err)
		}
	}
	if err := n.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestCommandsRunInsideTheNamespace(t *testing.T) {
	Require(t, "root", "veth")
	NoLeaks(t)
	n := New(t, Options{})
	if out := n.Exec(n.B, "cat", "/proc/net/dev"); !strings.Contains(out, "b0:") || strings.Contains(out, "a0:") {
		t.Errorf("/proc/net/dev in B:\n%s", out)
	}
	if out, err := n.B.Exec(context.Background(), "sh", "-c", "echo why; exit 3"); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("a failing command: %q, %v", out, err)
	}
}

func TestImpossibleOptionsAreRefusedInWords(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Queues: 65}, "queues"},
		{Options{Queues: -1}, "queues"},
		{Options{MTU: 10}, "mtu 10"},
		{Options{IfA: "a/b"}, "interface name"},
		{Options{IfB: "sixteen-bytes-xx"}, "interface name"},
		{Options{NameA: "x"}, "both or none"},
		{Options{NameA: "x", NameB: "x"}, "twice"},
		{Options{NameA: "..", NameB: "x"}, "not a file name"},
	} {
		n, err := vethnet.Build(c.o)
		if err == nil {
			n.Close()
			t.Errorf("%+v was accepted", c.o)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want it to say %q", c.o, err, c.want)
		}
	}
}
