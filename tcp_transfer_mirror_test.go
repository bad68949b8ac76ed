package xrx_test

import (
	"fmt"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"xrx/internal/testnet"
	"xrx/internal/vethnet"
)

// mirrored adds a second veth pair, a1 in namespace A and b1 in B, and has the kernel send a copy of all that leaves a0
// out of a1: what arrives at b1 is what arrives at b0. Like a0, a1 sends frames as they are on a wire: no longer than
// its MTU, with checksums.
func mirrored(t *testing.T, n *testnet.Net) (b1 string) {
	const a1, name = "a1", "b1"
	n.InA(func() {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = a1
		veth := netlink.NewVeth(attrs)
		veth.PeerName, veth.PeerNamespace = name, netlink.NsFd(n.B.FD())
		if err := netlink.LinkAdd(veth); err != nil {
			t.Fatal(err)
		}
	})
	for _, e := range []*vethnet.End{{Namespace: n.A.Namespace, Iface: a1}, {Namespace: n.B.Namespace, Iface: name}} {
		for _, o := range []vethnet.Offload{vethnet.TxChecksum, vethnet.TSO, vethnet.GSO} {
			if err := e.SetOffload(o, false); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Sysctl("ipv6/conf/"+e.Iface+"/disable_ipv6", "1"); err != nil { // no frames of its own
			t.Fatal(err)
		}
		if err := e.Do(func() error { return up(e.Iface) }); err != nil {
			t.Fatal(err)
		}
	}
	n.InA(func() {
		if err := mirror(n.A.Iface, a1); err != nil {
			t.Skipf("needs tc with clsact, u32 and mirred in the kernel: %v", err)
		}
	})
	n.InB(func() {
		eventually(t, vethPatience, "b1 has a carrier", func() bool {
			l, err := netlink.LinkByName(name)
			return err == nil && l.Attrs().OperState == netlink.OperUp
		})
	})
	return name
}

func up(iface string) error {
	l, err := netlink.LinkByName(iface)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetARPOff(l); err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}

// mirror is "tc qdisc add dev FROM clsact; tc filter add dev FROM egress u32 match u32 0 0 action mirred egress mirror
// dev TO".
func mirror(from, to string) error {
	src, err := netlink.LinkByName(from)
	if err != nil {
		return err
	}
	dst, err := netlink.LinkByName(to)
	if err != nil {
		return err
	}
	qdisc := &netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: src.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}}
	if err := netlink.QdiscAdd(qdisc); err != nil {
		return fmt.Errorf("clsact on %s: %w", from, err)
	}
	action := netlink.NewMirredAction(dst.Attrs().Index)
	action.MirredAction = netlink.TCA_EGRESS_MIRROR
	action.Action = netlink.TC_ACT_PIPE
	filter := &netlink.U32{Actions: []netlink.Action{action}, FilterAttrs: netlink.FilterAttrs{
		LinkIndex: src.Attrs().Index, Parent: netlink.HANDLE_MIN_EGRESS, Priority: 1, Protocol: unix.ETH_P_ALL}}
	if err := netlink.FilterAdd(filter); err != nil {
		return fmt.Errorf("mirror from %s to %s: %w", from, to, err)
	}
	return nil
}
