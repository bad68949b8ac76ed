package xrx

import (
	"fmt"
	"io/fs"
	"net"
	"strings"

	"xrx/internal/netdev"
)

// places tells where the pollers run, if that was asked for: which thread has which queues, on which processor and NUMA
// node, and a warning where that is another node than the interface's.
func (r *Receiver) places() {
	if len(r.cfg.CPUs) == 0 {
		if len(r.pollers) < len(r.queues) {
			whose := make([]string, len(r.pollers))
			for i, p := range r.pollers {
				whose[i] = p.String()
			}
			r.mode.note("%d threads poll %d queues: %s", len(r.pollers), len(r.queues), strings.Join(whose, "; "))
		}
		return
	}
	address := ""
	if i, err := net.InterfaceByIndex(r.iface.Index); err == nil {
		address = i.HardwareAddr.String()
	}
	s, err := netdev.OpenSysfs(r.iface, address)
	if err != nil {
		r.mode.note("NUMA nodes are not known: %v", err)
		return
	}
	defer s.Close()
	r.mode.Notes = append(r.mode.Notes, placeNotes(s.FS(), r.iface.Name, r.pollers)...)
}

// placeNotes is places, given a sysfs.
func placeNotes(sysfs fs.FS, iface string, pollers []*poller) (notes []string) {
	home, known := netdev.DeviceNode(sysfs, iface)
	if known {
		notes = append(notes, fmt.Sprintf("%s is on NUMA node %d", iface, home))
	}
	for _, p := range pollers {
		node, ok := netdev.ProcessorNode(sysfs, p.cpu)
		switch {
		case !ok:
			notes = append(notes, fmt.Sprintf("%v on processor %d", p, p.cpu))
		case known && node != home:
			notes = append(notes, fmt.Sprintf("%v on processor %d of NUMA node %d, but %s is on node %d: every packet crosses between them; --cpu with processors of /sys/devices/system/node/node%d/cpulist avoids it", p, p.cpu, node, iface, home, home))
		default:
			notes = append(notes, fmt.Sprintf("%v on processor %d, NUMA node %d", p, p.cpu, node))
		}
	}
	return notes
}
