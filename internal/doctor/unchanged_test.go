package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"xrx/internal/netdev"
	"xrx/internal/testnet"
)

// state is everything that can be seen of an interface: netlink's attributes, XDP programs, ethtool's settings, queues
// with sockets, and each file of its directory in sysfs, but for counters of traffic.
func state(t *testing.T, name string) map[string]string {
	t.Helper()
	s := map[string]string{}
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	a := l.Attrs()
	a.Statistics = nil
	if a.Xdp != nil {
		s["netlink xdp"] = fmt.Sprintf("%+v", *a.Xdp)
	}
	a.Xdp = nil
	s["netlink"] = fmt.Sprintf("%+v", *a)
	programs, err := netdev.XDPPrograms(a.Index)
	s["programs"] = fmt.Sprintf("%+v %v", programs, err)
	settings, err := netdev.GetSettings(name)
	if settings.Coalesce != nil {
		s["coalesce"], settings.Coalesce = fmt.Sprintf("%+v", *settings.Coalesce), nil
	}
	s["settings"] = fmt.Sprintf("%+v %v", settings, err)
	taken, known := netdev.QueuesWithSockets(a.Index)
	s["sockets"] = fmt.Sprint(taken, known)
	sysfs, err := netdev.OpenSysfs(netdev.Info{Name: name, Index: a.Index}, a.HardwareAddr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer sysfs.Close()
	var walk func(dir string)
	walk = func(dir string) {
		names, err := sysfs.List(name, dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range names {
			path := strings.TrimPrefix(dir+"/"+file, "/")
			switch file {
			case "statistics", "subsystem", "device", "power", "byte_queue_limits":
				continue
			}
			if strings.HasSuffix(file, "_timer") { // of a bridge: time goes by
				continue
			}
			if sub, err := sysfs.List(name, path); err == nil && !strings.HasPrefix(file, "lower_") && !strings.HasPrefix(file, "upper_") && file != "master" && len(sub) > 0 {
				walk(path)
				continue
			}
			text, err := sysfs.Read(name, path)
			s["sysfs "+path] = fmt.Sprint(text, err)
		}
	}
	walk("")
	if len(s) < 20 {
		t.Fatalf("only %d things to be seen of %s: %v", len(s), name, s)
	}
	return s
}

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
				before, shown := state(t, c.iface), details()
				if _, err := Examine(c.iface, Options{Try: TryAlways}); err != nil {
					t.Fatal(err)
				}
				after := state(t, c.iface)
				for _, key := range slices.Sorted(maps.Keys(before)) {
					if before[key] != after[key] {
						t.Errorf("%s: %s, was %s", key, after[key], before[key])
					}
				}
				if len(before) != len(after) {
					t.Errorf("%d things to be seen, were %d", len(after), len(before))
				}
				if now := details(); now != shown {
					t.Errorf("ip -d link: %s\nwas %s", now, shown)
				}
			})
		})
	}
}
