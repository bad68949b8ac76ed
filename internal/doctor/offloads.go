package doctor

import (
	"fmt"
	"strings"

	"xrx/internal/netdev"
)

// hurting are offloads of the receiving interface that change packets before XDP sees them, or keep XDP away.
var hurting = []struct{ kernel, ethtool, why string }{
	{"rx-lro", "lro", "LRO merges packets irrecoverably, and drivers refuse native XDP with it"},
	{"rx-gro-hw", "rx-gro-hw", "the card merges packets before XDP sees them: super-frames longer than the MTU"},
	{"rx-vlan-hw-parse", "rxvlan", "the card takes VLAN tags out of packets, and they are lost (--hw-meta asks for them, where the driver has the kfunc)"},
}

func (e *exam) offloads(err error) { e.add(checkOffloads(e.info, e.settings.Offloads, err)) }

func checkOffloads(i netdev.Info, offloads map[string]netdev.Offload, err error) Check {
	c := Check{"offloads", OK, "none that hurts is on (LRO, rx-gro-hw)", "what merges or changes packets before XDP sees them hides what was on the wire", ""}
	if err != nil {
		c.Verdict, c.Found, c.Fix = Warn, err.Error(), "ethtool -k "+i.Name
		return c
	}
	var on, why, off []string
	for _, h := range hurting {
		// A software device has the tags in the skb, where the kernel puts them back for XDP.
		if o := offloads[h.kernel]; !o.On || h.ethtool == "rxvlan" && i.Kind != "device" {
			continue
		} else if o.Fixed {
			on = append(on, h.ethtool+" (can't be switched off)")
		} else {
			on, off = append(on, h.ethtool), append(off, h.ethtool+" off")
		}
		why = append(why, h.why)
	}
	if on == nil {
		return c
	}
	c.Verdict, c.Found, c.Why = Warn, "on: "+strings.Join(on, ", "), strings.Join(why, "; ")
	if off != nil {
		c.Fix = fmt.Sprintf("ethtool -K %s %s", i.Name, strings.Join(off, " "))
	}
	return c
}
