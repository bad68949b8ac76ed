// Package netdev asks the kernel about network interfaces, through netlink and ethtool, in the network namespace of
// the calling thread.
package netdev

import (
	"errors"
	"fmt"
	"net"

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

	TxQueues int // tx queues in use now
}

// Get returns what there is to know about an interface.
func Get(name string) (Info, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		var missing netlink.LinkNotFoundError
		if errors.As(err, &missing) {
			return Info{}, missingError{name}
		}
		return Info{}, fmt.Errorf("interface %q: %w", name, err)
	}
	a := l.Attrs()
	i := Info{Name: name, Index: a.Index, MTU: a.MTU, Kind: l.Type(), Queues: a.NumRxQueues, TxQueues: a.NumTxQueues, Up: a.Flags&net.FlagUp != 0}
	e, err := ethtool.NewEthtool()
	if err != nil {
		return i, nil // without ethtool there is still NumRxQueues
	}
	defer e.Close()
	if ch, err := e.GetChannels(name); err == nil && ch.RxCount+ch.CombinedCount > 0 {
		i.Queues = int(ch.RxCount + ch.CombinedCount)
		i.TxQueues = int(ch.TxCount + ch.CombinedCount)
	}
	i.Driver, _ = e.DriverName(name)
	return i, nil
}

// missingError is ErrMissing with a name.
type missingError struct{ name string }

func (e missingError) Error() string {
	return fmt.Sprintf("no interface %q here (see: ip link)", e.name)
}

func (e missingError) Is(target error) bool { return target == ErrMissing }
