package netdev_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"xrx/internal/netdev"
	"xrx/internal/testnet"
	"xrx/internal/vethnet"
	"xrx/umem"
	"xrx/xsk"
)

func TestSettingsAreThoseThatWereMade(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 3})
	settings := func() (s netdev.Settings) {
		t.Helper()
		n.InB(func() {
			var err error
			if s, err = netdev.GetSettings("b0"); err != nil {
				t.Fatal(err)
			}
		})
		return s
	}
	s := settings()
	if want := (netdev.Channels{Rx: 3, MaxRx: 3, Tx: 3, MaxTx: 3}); s.Channels != want {
		t.Errorf("channels %+v, want %+v", s.Channels, want)
	}
	if s.Coalesce != nil || s.RSS != nil || len(s.Reached()) != 0 {
		t.Errorf("a veth with coalescing %v or an RSS table %v", s.Coalesce, s.RSS)
	}
	const tx = "tx-checksum-ip-generic"
	if o := s.Offloads[tx]; o.On || o.Fixed {
		t.Errorf("%s %+v, want off and free", tx, o)
	}
	if err := n.B.SetOffload(vethnet.TxChecksum, true); err != nil {
		t.Fatal(err)
	}
	if o := settings().Offloads[tx]; !o.On {
		t.Errorf("%s %+v, want on", tx, o)
	}
	n.InB(func() {
		if lo, err := netdev.GetSettings("lo"); err != nil || !lo.Offloads["loopback"].On || !lo.Offloads["loopback"].Fixed {
			t.Errorf("lo: loopback %+v, %v: want on and fixed", lo.Offloads["loopback"], err)
		}
		if _, err := netdev.GetSettings("nosuch0"); err == nil {
			t.Error("nosuch0 has settings")
		}
	})
}

func TestReachedQueuesAreListedOnce(t *testing.T) {
	s := netdev.Settings{RSS: []int{3, 0, 3, 1, 0}}
	if got := s.Reached(); !slices.Equal(got, []int{0, 1, 3}) || !slices.Equal(s.RSS, []int{3, 0, 3, 1, 0}) {
		t.Errorf("%v of %v", got, s.RSS)
	}
}

func TestThePeerIsFoundInWhateverNamespace(t *testing.T) {
	testnet.Require(t, "root", "veth", "cmd:ip")
	testnet.NoLeaks(t)
	named := testnet.UniqueName("xrx-a")
	for _, c := range []struct {
		name string
		opts testnet.Options
		into string
	}{
		{"held by a descriptor", testnet.Options{Queues: 2, MTU: 1400}, "nsenter --net=/proc/"},
		{"with a name", testnet.Options{Queues: 2, MTU: 1400, NameA: named, NameB: named + "b"}, "ip netns exec " + named},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := testnet.New(t, c.opts)
			n.InB(func() {
				p, err := netdev.VethPeer("b0")
				if err != nil {
					t.Fatal(err)
				}
				if p.Name != "a0" || p.Index != n.A.Index || p.MTU != 1400 || p.TxQueues != 2 || p.Offloads["tx-checksum-ip-generic"].On || !strings.HasPrefix(p.Into, c.into) {
					t.Errorf("%+v", p)
				}
				if _, err := netdev.VethPeer("lo"); err == nil {
					t.Error("lo has a peer")
				}
				if _, err := netlink.LinkByName("b0"); err != nil { // the thread is still where it was
					t.Error(err)
				}
			})
		})
	}
	t.Run("in the same one", func(t *testing.T) {
		n := testnet.New(t, testnet.Options{MTU: 1200})
		n.Exec(n.B, "ip", "link", "add", "p0", "numtxqueues", "3", "type", "veth", "peer", "name", "p1")
		n.InB(func() {
			if p, err := netdev.VethPeer("p1"); err != nil || p.Name != "p0" || p.Into != "" || p.TxQueues < 1 {
				t.Errorf("%+v, %v", p, err)
			}
		})
	})
}

func TestSysfsIsThatOfTheNamespace(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 2})
	if err := n.B.SysClass("gro_flush_timeout", "4321"); err != nil {
		t.Fatal(err)
	}
	n.InB(func() {
		i := get(t, "b0")
		s, err := netdev.OpenSysfs(i, n.B.MAC.String())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for file, want := range map[string]string{"ifindex": fmt.Sprint(n.B.Index), "address": n.B.MAC.String(), "gro_flush_timeout": "4321"} {
			if got, err := s.Read("b0", file); err != nil || got != want {
				t.Errorf("%s: %q, %v, want %q", file, got, err, want)
			}
		}
		if queues, err := s.List("b0", "queues"); err != nil || len(queues) != 4 {
			t.Errorf("queues %v, %v: want two rx and two tx", queues, err)
		}
		if _, err := s.Read("b0", "no-such-file"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a file that is not there: %v", err)
		}
		if _, err := s.List("a0", ""); err == nil {
			t.Error("the peer is to be seen here")
		}
	})
}

func TestQueuesWithSocketsAndTheirOwnersAreTold(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 3})
	other := testnet.New(t, testnet.Options{})
	taken := func(want ...int) {
		t.Helper()
		n.InB(func() {
			got, known := netdev.QueuesWithSockets(n.B.Index)
			if !known {
				t.Skip("this kernel does not tell which queues have AF_XDP sockets (needs 6.15)")
			}
			if !slices.Equal(got, want) {
				t.Errorf("taken %v, want %v", got, want)
			}
		})
	}
	taken()
	for _, q := range []int{1, 2} {
		mem, err := umem.New(umem.Config{Frames: 64})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { mem.Close() })
		n.InB(func() {
			s, err := xsk.Open(xsk.Config{Umem: mem, IfIndex: n.B.Index, Queue: q, FillSize: 64, RxSize: 64})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			if _, err := s.Bind(xsk.Copy, false); err != nil {
				t.Fatal(err)
			}
		})
	}
	taken(1, 2)
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	self := []netdev.Process{{PID: os.Getpid(), Name: strings.TrimSpace(string(comm))}}
	n.InB(func() {
		if got := netdev.XDPSocketOwners(); !reflect.DeepEqual(got, self) {
			t.Errorf("owners %v, want %v", got, self)
		}
	})
	other.InB(func() {
		if got := netdev.XDPSocketOwners(); got != nil {
			t.Errorf("owners %v in a namespace without sockets", got)
		}
	})
}

func TestWhatADriverSupportsHasNames(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	n.InB(func() {
		s, err := netdev.GetSupport(n.B.Index)
		if err != nil {
			t.Skipf("this kernel does not tell: %v", err)
		}
		if s.XDP&(netdev.ActBasic|netdev.ActRedirect) != netdev.ActBasic|netdev.ActRedirect || s.XDP&netdev.ActZeroCopy != 0 || !strings.HasPrefix(s.Features(), "basic redirect") {
			t.Errorf("%+v: %s", s, s.Features())
		}
		if _, err := netdev.GetSupport(1 << 30); err == nil {
			t.Error("interface 1073741824 supports something")
		}
		lo, err := netdev.GetSupport(1)
		if err != nil || lo.Features() != "none" || lo.MetadataNames() != "none" {
			t.Errorf("lo: %+v, %v", lo, err)
		}
	})
	all := netdev.Support{XDP: 0x7f, Metadata: 7}
	if got := all.Features() + "; " + all.MetadataNames(); got != "basic redirect ndo-xmit xsk-zerocopy hw-offload rx-sg ndo-xmit-sg; timestamp hash vlan-tag" {
		t.Error(got)
	}
}

func TestProgramsAreListedWithNameAndWay(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{PeerXDP: true})
	n.InB(func() {
		if list, err := netdev.XDPPrograms(n.B.Index); err != nil || list != nil {
			t.Errorf("%+v, %v: want none", list, err)
		}
	})
	n.InA(func() {
		list, err := netdev.XDPPrograms(n.A.Index)
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v, %v: want one", list, err)
		}
		p := list[0]
		self := slices.ContainsFunc(p.Owners, func(o netdev.Process) bool { return o.PID == os.Getpid() && o.Name != "" })
		if p.Name != "xrx_peer_pass" || p.Mode != "native" || !p.ByLink || p.LinkID == 0 || p.ID == 0 || !self {
			t.Errorf("%+v", p)
		}
		if got := p.Owners[0].String(); !strings.HasSuffix(got, fmt.Sprintf("[%d]", p.Owners[0].PID)) || filepath.Base(got) != got {
			t.Error(got)
		}
	})
	if _, err := netdev.XDPPrograms(1 << 30); err == nil {
		t.Error("interface 1073741824 has programs")
	}
}
