package doctor

import (
	"fmt"
	"slices"
	"strings"

	"xrx/internal/netdev"
)

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
