package doctor

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"xrx/internal/testnet"
)

// ip runs ip(8) in namespace B; a device type that this kernel has not skips.
func ip(t *testing.T, n *testnet.Net, args string) {
	t.Helper()
	out, err := n.B.Exec(t.Context(), "ip", strings.Fields(args)...)
	if strings.Contains(string(out), "Unknown device type") || strings.Contains(string(out), "not supported") {
		t.Skipf("this kernel can't: ip %s: %s", args, out)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// kinds are interfaces that are no veth, and how to make them.
var kinds = []struct {
	iface, set string
	want       map[string]expect
}{
	{"lo", "", map[string]expect{"link": {Fail, "set down", "ip link set dev lo up"}, "mtu": {Warn, "MTU 65536", "ip link set dev lo mtu 1578"}}},
	{"lo", "link set lo up", map[string]expect{"mtu": {Warn, "MTU 65536", "ip link set dev lo mtu 1578"}}},
	{"br0", "link add br0 type bridge; link set b0 master br0; link set br0 up", nil},
	{"m0", "link add link b0 name m0 type macvlan; link set m0 up", nil},
	{"d0", "link add d0 type dummy; link set d0 up", nil},
	{"v7", "link add link b0 name v7 type vlan id 7; link set v7 up", nil},
	{"b0", "link add br0 type bridge; link set b0 master br0", map[string]expect{"traffic": {Warn, "it is a port of br0 (bridge)", "ip link set dev b0 nomaster"}}},
}

func TestInterfacesOfOtherKindsAreJudgedAsTheyAre(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp", "cmd:ip")
	for _, k := range kinds {
		t.Run(k.iface+": "+k.set, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{MTU: 1200})
			for args := range strings.SplitSeq(k.set, ";") {
				if args = strings.TrimSpace(args); args != "" {
					ip(t, n, args)
				}
			}
			if strings.Contains(k.set, "link set "+k.iface+" up") {
				await(t, n, k.iface, "up", func(a *netlink.LinkAttrs) bool {
					return a.OperState == netlink.OperUp || a.OperState == netlink.OperUnknown
				})
			}
			r := examineB(t, n, k.iface, Options{})
			want := map[string]expect{"zero-copy": {Warn, "operation not supported", "xrx run " + k.iface + " --bind copy"}}
			maps.Copy(want, k.want)
			for _, c := range r.Checks {
				if c.ID == "xdp-features" && c.Verdict != OK && k.iface != "b0" { // software devices have none, where the kernel tells
					want["xdp-features"] = expect{Warn, "names no native XDP: none", "xrx run " + k.iface + " --mode skb"}
				}
			}
			compare(t, r, want)
		})
	}
}

func TestAnInterfaceThatIsNotThereIsOneFailedCheck(t *testing.T) {
	r, err := Examine("nosuch0", Options{})
	if err == nil || !strings.Contains(err.Error(), `no interface "nosuch0" here`) {
		t.Error(err)
	}
	want := []Check{{"interface", Fail, err.Error(), "there is nothing to receive from", "ip link"}}
	if !reflect.DeepEqual(r.Checks, want) || r.Verdict != Fail || !slices.Equal(r.Failed(), []string{"interface"}) {
		t.Errorf("%+v, want %+v", r, want)
	}
}
