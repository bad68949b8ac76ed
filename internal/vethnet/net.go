package vethnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Net is a running network. Close removes all of it.
type Net struct {
	A, B *End
	Options
}

// Build creates the network, up and usable. On error nothing is left behind.
func Build(o Options) (_ *Net, err error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("veth network: %w", err)
	}
	n := &Net{
		A: &End{
			Iface: o.IfA,
			MAC:   net.HardwareAddr{2, 0, 0, 0, 0, 0x0a},
			IP4:   netip.AddrFrom4([4]byte{10, 11, 0, 1}),
		},
		B: &End{
			Iface: o.IfB,
			MAC:   net.HardwareAddr{2, 0, 0, 0, 0, 0x0b},
			IP4:   netip.AddrFrom4([4]byte{10, 11, 0, 2}),
		},
		Options: o,
	}
	n.A.peer, n.B.peer = n.B, n.A
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("veth network: %w", err), n.Close())
		}
	}()
	if o.MTU >= minIPv6MTU && hasIPv6() {
		n.A.IP6 = netip.MustParseAddr("fd00:11::1")
		n.B.IP6 = netip.MustParseAddr("fd00:11::2")
	}
	if err := n.A.open(o.NameA); err != nil {
		return nil, err
	}
	if err := n.B.open(o.NameB); err != nil {
		return nil, err
	}
	if err := n.link(); err != nil {
		return nil, err
	}
	return n, nil
}

// Recreate makes the pair again that was deleted, as Build made it. The interfaces have other indexes then.
func (n *Net) Recreate() error {
	if n.A.xdp != nil { // it went with the interface
		n.A.DetachPass()
	}
	if err := n.link(); err != nil {
		return fmt.Errorf("veth network: %w", err)
	}
	return nil
}

func (n *Net) link() error {
	if err := n.addPair(); err != nil {
		return err
	}
	if err := n.A.configure(); err != nil {
		return err
	}
	if err := n.B.configure(); err != nil {
		return err
	}
	if err := errors.Join(n.A.waitReady(), n.B.waitReady()); err != nil {
		return err
	}
	if n.PeerXDP {
		return n.A.AttachPass()
	}
	return nil
}

// Close removes the pair and both namespaces. Idempotent.
func (n *Net) Close() error { return errors.Join(n.A.close(), n.B.close()) }

// InA runs f inside namespace A; see Namespace.Do.
func (n *Net) InA(f func() error) error { return n.A.Do(f) }

// InB runs f inside namespace B; see Namespace.Do.
func (n *Net) InB(f func() error) error { return n.B.Do(f) }

func (n *Net) addPair() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = n.IfA
	attrs.HardwareAddr = n.A.MAC
	attrs.MTU = n.MTU
	attrs.NumTxQueues, attrs.NumRxQueues = n.QueuesA, n.QueuesA
	veth := netlink.NewVeth(attrs)
	veth.PeerName = n.IfB
	veth.PeerHardwareAddr = n.B.MAC
	veth.PeerMTU = uint32(n.MTU)
	veth.PeerNumTxQueues, veth.PeerNumRxQueues = uint32(n.Queues), uint32(n.Queues)
	veth.PeerNamespace = netlink.NsFd(n.B.FD())
	if err := n.A.nl.LinkAdd(veth); err != nil {
		return fmt.Errorf("add veth pair %s, %s: %w", n.IfA, n.IfB, explain(err))
	}
	for _, e := range []*End{n.A, n.B} {
		l, err := e.nl.LinkByName(e.Iface)
		if err != nil {
			return fmt.Errorf("look up %s: %w", e.Iface, err)
		}
		e.Index = l.Attrs().Index
	}
	return nil
}

// hasIPv6 reports whether the running kernel has IPv6 switched on.
func hasIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err == nil
}

// open creates the namespace and the netlink handle that works inside it.
func (e *End) open(name string) (err error) {
	if e.Namespace, err = NewNamespace(name); err != nil {
		return err
	}
	if e.nl, err = netlink.NewHandleAt(netns.NsHandle(e.FD()), unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	return nil
}
