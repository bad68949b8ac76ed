package doctor

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
)

func (e *exam) link() {
	c := Check{"link", OK, "", "a link that is down gives no packet, and AF_XDP's poll says nothing about it", ""}
	up := e.attrs.Flags&net.FlagUp != 0
	running := e.attrs.OperState == netlink.OperUp || e.attrs.OperState == netlink.OperUnknown
	c.Found = "up, " + e.attrs.OperState.String()
	switch {
	case !up:
		c.Verdict, c.Found = Fail, "it is set down"
		c.Fix = fmt.Sprintf("ip link set dev %s up", e.info.Name)
	case !running:
		c.Verdict, c.Found = Warn, fmt.Sprintf("set up, but its state is %s: no carrier", e.attrs.OperState)
		c.Fix = "ethtool " + e.info.Name
		if e.info.Kind == "veth" {
			c.Fix = "ip link set dev PEER up" // in whichever namespace
		}
	}
	e.add(c)
}

func (e *exam) traffic() {
	c := Check{"traffic", OK, "neither the default route nor this SSH session runs over it, and it is nobody's port", "on its queues xrx takes every packet: the machine would be cut off", ""}
	switch {
	case e.lifeline != "":
		c.Verdict, c.Found = Warn, e.lifeline+": xrx run refuses it"
		c.Fix = fmt.Sprintf("xrx run %s --take-all", e.info.Name)
	case e.attrs.MasterIndex != 0:
		master := fmt.Sprintf("interface %d", e.attrs.MasterIndex)
		if l, err := netlink.LinkByIndex(e.attrs.MasterIndex); err == nil {
			master = fmt.Sprintf("%s (%s)", l.Attrs().Name, l.Type())
		}
		c.Verdict, c.Found, c.Why = Warn, "it is a port of "+master, "what xrx takes here never reaches "+master
		c.Fix = fmt.Sprintf("ip link set dev %s nomaster", e.info.Name)
	}
	e.add(c)
}
