package netdev

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// FS shows the sysfs as a file system, until it is closed.
func (s *Sysfs) FS() fs.FS { return os.DirFS(fmt.Sprintf("/proc/self/fd/%d", s.fd)) }

// DeviceNode returns the NUMA node that an interface's device is on, from a sysfs; false where there is none, or no
// device (Documentation/ABI/stable/sysfs-devices: device/numa_node, -1 for none).
func DeviceNode(sysfs fs.FS, iface string) (node int, ok bool) {
	b, err := fs.ReadFile(sysfs, "class/net/"+iface+"/device/numa_node")
	if err != nil {
		return 0, false
	}
	node, err = strconv.Atoi(strings.TrimSpace(string(b)))
	return node, err == nil && node >= 0
}

// ProcessorNode returns the NUMA node of a processor, from a sysfs: the nodeN in its directory
// (Documentation/ABI/testing/sysfs-devices-system-cpu).
func ProcessorNode(sysfs fs.FS, cpu int) (node int, ok bool) {
	entries, err := fs.ReadDir(sysfs, fmt.Sprintf("devices/system/cpu/cpu%d", cpu))
	if err != nil {
		return 0, false
	}
	for _, e := range entries {
		if n, found := strings.CutPrefix(e.Name(), "node"); found {
			if node, err := strconv.Atoi(n); err == nil {
				return node, true
			}
		}
	}
	return 0, false
}
