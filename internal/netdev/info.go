// Package netdev asks the kernel about network interfaces, through netlink and ethtool, in the network namespace of
// the calling thread.
package netdev

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
)

// Info is what a receiver needs to know about an interface.
type Info struct {
	Name   string
	Index  int
	MTU    int
	Kind   string // "veth", "device", ...
	Driver string // as ethtool -i says; "" if it doesn't
	Queues int    // rx queues in use now (ethtool -l), not the most there could be
	Up     bool
}

// Get returns what there is to know about an interface.
func Get(name string) (Info, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		var missing netlink.LinkNotFoundError
		if errors.As(err, &missing) {
			return Info{}, fmt.Errorf("no interface %q here (see: ip link)", name)
		}
		return Info{}, fmt.Errorf("interface %q: %w", name, err)
	}
	a := l.Attrs()
	i := Info{Name: name, Index: a.Index, MTU: a.MTU, Kind: l.Type(), Queues: a.NumRxQueues, Up: a.Flags&net.FlagUp != 0}
	e, err := ethtool.NewEthtool()
	if err != nil {
		return i, nil // without ethtool there is still NumRxQueues
	}
	defer e.Close()
	if ch, err := e.GetChannels(name); err == nil && ch.RxCount+ch.CombinedCount > 0 {
		i.Queues = int(ch.RxCount + ch.CombinedCount)
	}
	i.Driver, _ = e.DriverName(name)
	return i, nil
}

// Lifeline says why taking all traffic of the interface would cut this machine, or whoever sits at it, off the
// network: it carries the default route, or the SSH session that this process runs in. "" if neither.
func Lifeline(i Info) string {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return ""
	}
	for _, r := range routes {
		if r.Dst != nil && !r.Dst.IP.IsUnspecified() {
			continue
		}
		via := r.LinkIndex == i.Index
		for _, hop := range r.MultiPath {
			via = via || hop.LinkIndex == i.Index
		}
		if via {
			return "it carries the default route"
		}
	}
	// SSH_CONNECTION: client address, client port, server address, server port (ssh(1)).
	if f := strings.Fields(os.Getenv("SSH_CONNECTION")); len(f) == 4 {
		client := net.ParseIP(f[0])
		if routes, err := netlink.RouteGet(client); err == nil && client != nil {
			for _, r := range routes {
				if r.LinkIndex == i.Index {
					return "it carries the SSH session from " + f[0]
				}
			}
		}
	}
	return ""
}
