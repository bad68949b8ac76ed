package gen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The addresses used where an interface has none.
var (
	fallback4 = [2]netip.Addr{netip.MustParseAddr("10.11.0.1"), netip.MustParseAddr("10.11.0.2")}
	fallback6 = [2]netip.Addr{netip.MustParseAddr("fd00:11::1"), netip.MustParseAddr("fd00:11::2")}
)

// Discover fills in the stream's addresses that are not set, as far as the
// interface tells them: its own MAC and IP address as the source; the MAC of
// its veth peer and the IP address of a static neighbour as the destination.
// IP addresses default to 10.11.0.1 and .2, or fd00:11::1 and ::2. The
// destination MAC stays nil where it cannot be told.
func (s *Stream) Discover(iface string, ipv6 bool) error {
	link, err := netlink.LinkByName(iface)
	if err != nil {
		return fmt.Errorf("interface %q: %w", iface, err)
	}
	if s.SrcMAC == nil {
		s.SrcMAC = link.Attrs().HardwareAddr
	}
	if s.DstMAC == nil && link.Type() == "veth" {
		if s.DstMAC, err = peerMAC(link.Attrs()); err != nil {
			return fmt.Errorf("peer of %s: %w", iface, err)
		}
	}
	family, fallback := unix.AF_INET, fallback4
	if ipv6 {
		family, fallback = unix.AF_INET6, fallback6
	}
	if !s.Src.IsValid() {
		if s.Src, err = ownAddress(link, family); err != nil {
			return fmt.Errorf("addresses of %s: %w", iface, err)
		}
	}
	if !s.Dst.IsValid() {
		if s.Dst, err = neighbour(link, family); err != nil {
			return fmt.Errorf("neighbours of %s: %w", iface, err)
		}
	}
	if !s.Src.IsValid() {
		s.Src = fallback[0]
	}
	if !s.Dst.IsValid() {
		s.Dst = fallback[1]
	}
	return nil
}

// ownAddress returns the first global address of the interface, if any.
func ownAddress(link netlink.Link, family int) (netip.Addr, error) {
	list, err := netlink.AddrList(link, family)
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && a.Scope == unix.RT_SCOPE_UNIVERSE {
			return ip.Unmap(), nil
		}
	}
	return netip.Addr{}, err
}

// neighbour returns the first permanent neighbour of the interface, if any.
func neighbour(link netlink.Link, family int) (netip.Addr, error) {
	list, err := netlink.NeighList(link.Attrs().Index, family)
	for _, n := range list {
		if ip, ok := netip.AddrFromSlice(n.IP); ok && n.State&netlink.NUD_PERMANENT != 0 {
			return ip.Unmap(), nil
		}
	}
	return netip.Addr{}, err
}

// peerMAC returns the hardware address of a veth's other end, which may be in
// another namespace; nil where the kernel does not tell.
func peerMAC(a *netlink.LinkAttrs) (net.HardwareAddr, error) {
	if a.NetNsID < 0 {
		peer, err := netlink.LinkByIndex(a.ParentIndex)
		if err != nil {
			return nil, err
		}
		return peer.Attrs().HardwareAddr, nil
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_ACK)
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index = int32(a.ParentIndex)
	req.AddData(info)
	req.AddData(nl.NewRtAttr(unix.IFLA_TARGET_NETNSID, nl.Uint32Attr(uint32(a.NetNsID))))
	messages, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) {
		return nil, nil // no rights in that namespace, or Linux before 4.15
	}
	if err != nil {
		return nil, err
	}
	if len(messages) == 0 {
		return nil, nil
	}
	peer, err := netlink.LinkDeserialize(nil, messages[0])
	if err != nil {
		return nil, err
	}
	return peer.Attrs().HardwareAddr, nil
}
