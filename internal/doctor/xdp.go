package doctor

import (
	"fmt"
	"slices"
	"strings"

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

// sockets tells of queues that somebody has; xrx binds all by default and would be refused.
func (e *exam) sockets() {
	var owners []netdev.Process
	if len(e.taken) > 0 {
		owners = netdev.XDPSocketOwners()
	}
	e.add(checkSockets(e.info, e.taken, e.takenKnown, owners))
}

func checkSockets(i netdev.Info, taken []int, known bool, owners []netdev.Process) Check {
	c := Check{"sockets", OK, "no queue has an AF_XDP socket", "a queue has one AF_XDP socket; a second one's bind fails with EBUSY", ""}
	if !known {
		c.Found = "this kernel doesn't tell which queues have AF_XDP sockets (6.15 does, of an interface that is up)"
		return c
	}
	if len(taken) == 0 {
		return c
	}
	c.Verdict, c.Found = Fail, fmt.Sprintf("taken: queue %s", numbers(taken))
	var names, pids []string
	for _, o := range owners {
		names, pids = append(names, o.String()), append(pids, fmt.Sprint(o.PID))
	}
	switch {
	case len(owners) == 1:
		c.Found += ", by " + names[0]
	case owners != nil:
		c.Found += "; in this namespace these have AF_XDP sockets: " + strings.Join(names, " ")
	}
	var free []int
	for q := range i.Queues {
		if !slices.Contains(taken, q) {
			free = append(free, q)
		}
	}
	switch {
	case len(free) > 0:
		c.Fix = fmt.Sprintf("xrx run %s --queues %s", i.Name, list(free))
	case pids != nil:
		c.Fix = "kill " + strings.Join(pids, " ")
	default:
		c.Fix = "ss --xdp -p" // who
	}
	return c
}

// list writes queues as --queues reads them; a lone number would mean the first N.
func list(queues []int) string {
	if len(queues) == 1 {
		return fmt.Sprintf("%d-%d", queues[0], queues[0])
	}
	return numbers(queues)
}
