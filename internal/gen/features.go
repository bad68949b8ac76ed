package gen

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The netdev generic netlink family (include/uapi/linux/netdev.h, v6.18).
const (
	netdevFamily      = "netdev"
	netdevCmdDevGet   = 1
	netdevDevIfindex  = 1
	netdevDevFeatures = 3
	netdevXDPNdoXmit  = 1 << 2
)

// takesRedirects returns why frames redirected to the interface would be lost,
// nil when they would not be or the kernel (before v6.3) does not tell.
//
// A veth has the feature only while its peer has a native XDP program or GRO
// (drivers/net/veth.c, veth_set_xdp_features, v6.18).
func takesRedirects(ifindex int) error {
	features, err := xdpFeatures(ifindex)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read XDP features: %w", err)
	}
	if features&netdevXDPNdoXmit == 0 {
		return errors.New("the interface takes no redirected frames (a veth does when its peer has a native XDP program, or GRO: ethtool -K PEER gro on)")
	}
	return nil
}

// xdpFeatures returns enum netdev_xdp_act bits of an interface in the calling
// thread's network namespace.
func xdpFeatures(ifindex int) (uint64, error) {
	family, err := netlink.GenlFamilyGet(netdevFamily)
	if err != nil {
		return 0, err
	}
	req := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	req.AddData(genlHeader{netdevCmdDevGet, 1})
	req.AddData(nl.NewRtAttr(netdevDevIfindex, nl.Uint32Attr(uint32(ifindex))))
	messages, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return 0, err
	}
	for _, m := range messages {
		if len(m) < nl.SizeofGenlmsg {
			continue
		}
		attributes, err := nl.ParseRouteAttr(m[nl.SizeofGenlmsg:])
		if err != nil {
			return 0, err
		}
		for _, a := range attributes {
			if a.Attr.Type&nl.NLA_TYPE_MASK == netdevDevFeatures && len(a.Value) >= 8 {
				return binary.NativeEndian.Uint64(a.Value), nil
			}
		}
	}
	return 0, errors.New("the answer has no xdp-features")
}

// genlHeader is struct genlmsghdr: command, version, two reserved bytes, which
// this family wants to be zero. nl.Genlmsg does not hold them.
type genlHeader [4]byte

func (h genlHeader) Len() int          { return len(h) }
func (h genlHeader) Serialize() []byte { return h[:] }
