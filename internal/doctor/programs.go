package doctor

import (
	"fmt"
	"slices"
	"strings"

	"xrx/internal/netdev"
)

func (e *exam) others(err error) { e.add(checkPrograms(e.info.Name, e.programs, err)) }

func checkPrograms(iface string, programs []netdev.XDPProgram, err error) Check {
	c := Check{"xdp-programs", OK, "no other XDP program", "xrx never replaces another program: it refuses to start", ""}
	if err != nil {
		c.Verdict, c.Found, c.Fix = Warn, err.Error(), "ip link show dev "+iface
		return c
	}
	var found, fixes []string
	for _, p := range programs {
		name := "a program without a name"
		if p.Name != "" {
			name = fmt.Sprintf("%q", p.Name)
		}
		s := fmt.Sprintf("%s (id %d, %s mode, by netlink", name, p.ID, p.Mode)
		if p.ByLink {
			s = fmt.Sprintf("%s (id %d, %s mode, by bpf_link %d", name, p.ID, p.Mode, p.LinkID)
		}
		var owners []string
		for _, o := range p.Owners {
			owners = append(owners, o.String())
		}
		if owners != nil {
			s += ", held by " + strings.Join(owners, " ") + ")"
		} else {
			s += ", held by no process that can be seen)"
		}
		found = append(found, s)
		fixes = append(fixes, removal(iface, p))
	}
	if found != nil {
		c.Verdict, c.Found, c.Fix = Fail, strings.Join(found, "; "), strings.Join(slices.Compact(fixes), "; ")
	}
	return c
}

// removal is the command that takes a program away, if nobody needs it.
func removal(iface string, p netdev.XDPProgram) string {
	switch {
	case p.Name == "xdp_dispatcher": // libxdp's, which runs several programs
		return fmt.Sprintf("xdp-loader unload %s --all", iface)
	case p.ByLink && len(p.Owners) == 1:
		return fmt.Sprintf("kill %d", p.Owners[0].PID)
	case p.ByLink:
		return fmt.Sprintf("bpftool link detach id %d", p.LinkID)
	case p.Mode == "generic":
		return fmt.Sprintf("ip link set dev %s xdpgeneric off", iface)
	case p.Mode == "offload":
		return fmt.Sprintf("ip link set dev %s xdpoffload off", iface)
	}
	return fmt.Sprintf("ip link set dev %s xdp off", iface)
}
