package testnet

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"xrx/internal/netdev"
)

// State returns everything that can be seen of an interface: netlink's attributes, XDP programs, ethtool's settings, queues
// with sockets, and each file of its directory in sysfs, but for counters of traffic.
func State(t testing.TB, name string) map[string]string {
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
			case "statistics", "subsystem", "device", "power", "byte_queue_limits", "carrier_changes", "carrier_up_count", "carrier_down_count":
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

// SameState compares what State returned before and after something that changes nothing in the end.
func SameState(t testing.TB, before, after map[string]string) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if before[key] != after[key] {
			t.Errorf("%s: %s, was %s", key, after[key], before[key])
		}
	}
	if len(before) != len(after) {
		t.Errorf("%d things to be seen, were %d", len(after), len(before))
	}
}
