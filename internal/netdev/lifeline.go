package netdev

import (
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// Lifeline says why taking all traffic of the interface would cut this machine, or whoever sits at it, off the
// network: it carries the default route, or the SSH session that this process runs in, by itself or below a bridge,
// bond or VLAN. "" if neither.
func Lifeline(i Info) string {
	carries := above(i)
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return ""
	}
	for _, r := range routes {
		if r.Dst != nil && !r.Dst.IP.IsUnspecified() {
			continue
		}
		via := slices.Contains(carries, r.LinkIndex)
		for _, hop := range r.MultiPath {
			via = via || slices.Contains(carries, hop.LinkIndex)
		}
		if via {
			return "it carries the default route"
		}
	}
	// SSH_CONNECTION: client address, client port, server address, server port (ssh(1)).
	if f := strings.Fields(os.Getenv("SSH_CONNECTION")); len(f) == 4 && carriesPeer(i, carries, f[0]) {
		return "it carries the SSH session from " + f[0]
	}
	return ""
}

// carriesPeer reports whether packets to an address leave through one of the interfaces; a link-local address names
// its interface itself.
func carriesPeer(i Info, carries []int, peer string) bool {
	addr, err := netip.ParseAddr(peer)
	if err != nil {
		return false
	}
	if addr.Zone() != "" {
		return addr.Zone() == i.Name
	}
	routes, err := netlink.RouteGet(addr.Unmap().AsSlice())
	if err != nil {
		return false
	}
	return slices.ContainsFunc(routes, func(r netlink.Route) bool { return slices.Contains(carries, r.LinkIndex) })
}

// above returns the indices of the interfaces whose packets pass through i: i itself, its bridge or bond, the VLANs on
// either, and so on up.
func above(i Info) []int {
	found := []int{i.Index}
	links, err := netlink.LinkList()
	if err != nil {
		return found
	}
	for grown := true; grown; {
		grown = false
		for _, l := range links {
			a := l.Attrs()
			on := stacked(l) && slices.Contains(found, a.ParentIndex)
			if on && !slices.Contains(found, a.Index) {
				found, grown = append(found, a.Index), true
			}
			if a.MasterIndex != 0 && slices.Contains(found, a.Index) && !slices.Contains(found, a.MasterIndex) {
				found, grown = append(found, a.MasterIndex), true
			}
		}
	}
	return found
}

// stacked reports whether the link's parent is the interface below it; of a veth it is the peer, of a tunnel the one
// that it happens to leave by.
func stacked(l netlink.Link) bool {
	return slices.Contains([]string{"vlan", "macvlan", "ipvlan", "macvtap", "ipvtap"}, l.Type())
}
