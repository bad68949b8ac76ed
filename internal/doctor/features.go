package doctor

import (
	"fmt"

	"xrx/internal/netdev"
)

func (e *exam) features() { e.add(checkFeatures(e.info.Name, e.support, e.supportErr)) }

func checkFeatures(iface string, s netdev.Support, err error) Check {
	c := Check{"xdp-features", OK, "", "without native XDP there is skb mode only: slower, and never zero-copy", "xrx run " + iface + " --mode skb"}
	if err != nil {
		c.Found = "the kernel doesn't tell: " + err.Error()
		return c
	}
	c.Found = s.Features()
	if s.ZCSegs > 1 {
		c.Found += fmt.Sprintf("; zero-copy packets of up to %d frames", s.ZCSegs)
	}
	switch {
	case s.XDP&netdev.ActBasic == 0:
		c.Verdict, c.Found = Warn, "the driver names no native XDP: "+c.Found
	case s.XDP&netdev.ActRedirect == 0:
		c.Verdict, c.Found = Warn, "native XDP, but no redirect: "+c.Found
		c.Why = "AF_XDP is a redirect: only skb mode is left"
	}
	return c
}

func (e *exam) metadata() {
	c := Check{"metadata", OK, "", "--hw-meta takes hash, receive time and VLAN from the device by these; without, xrx computes the hash itself", ""}
	switch {
	case e.supportErr != nil:
		c.Found = "the kernel doesn't tell which metadata kfuncs the driver has"
	case e.support.Metadata == 0:
		c.Found = "the driver has no metadata kfuncs"
	default:
		c.Found = "kfuncs: " + e.support.MetadataNames()
	}
	e.add(c)
}
