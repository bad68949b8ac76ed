package doctor

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"xrx/internal/testnet"
	"xrx/internal/vethnet"
)

func TestEachDefectOfAVethIsFoundAndNoOther(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	noZC := expect{Warn, "operation not supported: the driver has no AF_XDP zero-copy", "xrx run b0 --bind copy"}
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	self := fmt.Sprintf("%s[%d]", strings.TrimSpace(string(comm)), os.Getpid())
	offload := func(o vethnet.Offload) func(*testing.T, *testnet.Net) {
		return func(t *testing.T, n *testnet.Net) {
			if err := n.A.SetOffload(o, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name   string
		opts   testnet.Options
		defect func(*testing.T, *testnet.Net)
		taken  bool // needs a kernel that tells who has queues
		want   map[string]expect
	}{
		{"none", testnet.Options{}, nil, false, map[string]expect{"zero-copy": noZC}},
		{"none, with four queues", testnet.Options{Queues: 4}, nil, false, map[string]expect{"zero-copy": noZC}},
		{"the peer leaves checksums open", testnet.Options{}, offload(vethnet.TxChecksum), false, map[string]expect{"zero-copy": noZC,
			"peer": {Warn, "a0 has on: tx-checksum-ip-generic", " ethtool -K a0 tx off"}}},
		{"and sends segments unsegmented", testnet.Options{}, func(t *testing.T, n *testnet.Net) {
			offload(vethnet.TxChecksum)(t, n)
			offload(vethnet.TSO)(t, n)
		}, false, map[string]expect{"zero-copy": noZC,
			"peer": {Warn, "tx-checksum-ip-generic, tx-tcp-segmentation, tx-tcp6-segmentation", " ethtool -K a0 tx off"}}},
		{"the peer has more tx queues", testnet.Options{Queues: 1, QueuesA: 2}, nil, false, map[string]expect{"zero-copy": noZC,
			"peer-queues": {Warn, "a0 has 2 tx queues, b0 1 rx", " ethtool -L a0 tx 1"}}},
		{"MTU 2000", testnet.Options{MTU: 2000}, nil, false, map[string]expect{"zero-copy": noZC,
			"mtu": {Warn, "frames up to 2022 bytes; a chunk of 2048 bytes holds 1600", "xrx run b0 --chunk 4096"}}},
		{"MTU 9000", testnet.Options{MTU: 9000}, nil, false, map[string]expect{"zero-copy": noZC,
			"mtu": {Warn, "multi-buffer", "ip link set dev b0 mtu 1578"}}},
		{"set down", testnet.Options{MTU: 1200}, func(t *testing.T, n *testnet.Net) {
			if err := n.B.Down(); err != nil {
				t.Fatal(err)
			}
		}, false, map[string]expect{"zero-copy": noZC,
			"link": {Fail, "set down", "ip link set dev b0 up"}}},
		{"the peer is down", testnet.Options{MTU: 1200}, func(t *testing.T, n *testnet.Net) {
			if err := n.A.Down(); err != nil {
				t.Fatal(err)
			}
			await(t, n, "b0", "without carrier", func(a *netlink.LinkAttrs) bool { return a.OperState != netlink.OperUp })
		}, false, map[string]expect{"zero-copy": noZC,
			"link": {Warn, "no carrier", "ip link set dev PEER up"}}},
		{"the default route", testnet.Options{}, func(t *testing.T, n *testnet.Net) {
			if err := n.B.DefaultRoute(n.A.IP4); err != nil {
				t.Fatal(err)
			}
		}, false, map[string]expect{
			"traffic":   {Warn, "it carries the default route", "xrx run b0 --take-all"},
			"zero-copy": {Warn, "not tried: it carries the default route", "xrx doctor b0 --try always"}}},
		{"a timeout that holds packets", testnet.Options{}, func(t *testing.T, n *testnet.Net) {
			if err := n.B.SysClass("gro_flush_timeout", "2000000"); err != nil {
				t.Fatal(err)
			}
		}, false, map[string]expect{"zero-copy": noZC,
			"napi": {Warn, "napi_defer_hard_irqs 0, gro_flush_timeout 2000000 ns", "echo 0 > /sys/class/net/b0/gro_flush_timeout"}}},
		{"interrupts deferred without a timeout", testnet.Options{}, func(t *testing.T, n *testnet.Net) {
			if err := n.B.SysClass("napi_defer_hard_irqs", "3"); err != nil {
				t.Fatal(err)
			}
		}, false, map[string]expect{"zero-copy": noZC,
			"napi": {Warn, "napi_defer_hard_irqs 3", "echo 0 > /sys/class/net/b0/napi_defer_hard_irqs"}}},
		{"another's program, native, left by netlink", testnet.Options{}, byNetlink(unix.XDP_FLAGS_DRV_MODE), false, map[string]expect{
			"xdp-programs": {Fail, `native mode, by netlink, held by no process`, "ip link set dev b0 xdp off"},
			"zero-copy":    {Warn, "not tried: an XDP program is there", "--try always"}}},
		{"another's program, generic, left by netlink", testnet.Options{}, byNetlink(unix.XDP_FLAGS_SKB_MODE), false, map[string]expect{
			"xdp-programs": {Fail, `"somebody_else" (id `, "ip link set dev b0 xdpgeneric off"},
			"zero-copy":    {Warn, "not tried: an XDP program is there", "--try always"}}},
		{"another's program with its owner", testnet.Options{}, byLink, false, map[string]expect{
			"xdp-programs": {Fail, "held by " + self + ")", fmt.Sprintf("kill %d", os.Getpid())},
			"zero-copy":    {Warn, "not tried: an XDP program is there", "--try always"}}},
		{"one of two queues is taken", testnet.Options{Queues: 2}, take(0), true, map[string]expect{"zero-copy": noZC,
			"sockets": {Fail, "taken: queue 0, by " + self, "xrx run b0 --queues 1-1"}}},
		{"every queue is taken", testnet.Options{Queues: 2}, take(0, 1), true, map[string]expect{
			"sockets":   {Fail, "taken: queue 0,1, by " + self, fmt.Sprintf("kill %d", os.Getpid())},
			"zero-copy": {Warn, "EBUSY", ""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			testnet.NoLeaks(t)
			t.Setenv("SSH_CONNECTION", "")
			n := testnet.New(t, c.opts)
			if c.taken {
				needTaken(t, n)
			}
			if c.defect != nil {
				c.defect(t, n)
			}
			r := examineB(t, n, "b0", Options{})
			want := maps.Clone(c.want)
			for _, check := range r.Checks {
				// The driver takes native XDP back while the peer has more queues, in kernels that can tell (6.3).
				if check.ID == "xdp-features" && want["peer-queues"].verdict == Warn && !strings.Contains(check.Found, "doesn't tell") {
					want["xdp-features"] = expect{Warn, "names no native XDP", "xrx run b0 --mode skb"}
				}
			}
			compare(t, r, want)
			if r.Interface != "b0" || r.Driver != "veth" {
				t.Errorf("%s, %s", r.Interface, r.Driver)
			}
		})
	}
}
