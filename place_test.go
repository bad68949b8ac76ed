package xrx

import (
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"
)

// machine is the part of a sysfs that tells NUMA nodes: of eth1's device, and of processors.
func machine(device string, nodes map[string]string) fs.FS {
	m := fstest.MapFS{"class/net/eth1/mtu": {Data: []byte("1500\n")}}
	if device != "" {
		m["class/net/eth1/device/numa_node"] = &fstest.MapFile{Data: []byte(device + "\n")}
	}
	for cpu, node := range nodes {
		dir := "devices/system/cpu/" + cpu + "/"
		m[dir+"topology/core_id"] = &fstest.MapFile{Data: []byte("0\n")}
		if node != "" {
			m[dir+node+"/cpulist"] = &fstest.MapFile{Data: []byte("0\n")}
		}
	}
	return m
}

func TestNotesTellProcessorsAndNUMANodesAndWarnOfAnotherNode(t *testing.T) {
	two := map[string]string{"cpu0": "node0", "cpu1": "node0", "cpu8": "node1", "cpu9": "node1"}
	const far = ": every packet crosses between them; --cpu with processors of /sys/devices/system/node/node1/cpulist avoids it"
	for _, c := range []struct {
		name  string
		sysfs fs.FS
		cpus  []int
		want  []string
	}{
		{"all on the interface's node", machine("1", two), []int{8, 9},
			[]string{"eth1 is on NUMA node 1", "queues 0, 2 on processor 8, NUMA node 1", "queue 1 on processor 9, NUMA node 1"}},
		{"one on another node", machine("1", two), []int{1, 9},
			[]string{"eth1 is on NUMA node 1", "queues 0, 2 on processor 1 of NUMA node 0, but eth1 is on node 1" + far, "queue 1 on processor 9, NUMA node 1"}},
		{"a device on no node", machine("-1", two), []int{0, 9},
			[]string{"queues 0, 2 on processor 0, NUMA node 0", "queue 1 on processor 9, NUMA node 1"}},
		{"no device, as veth", machine("", two), []int{0, 1},
			[]string{"queues 0, 2 on processor 0, NUMA node 0", "queue 1 on processor 1, NUMA node 0"}},
		{"a kernel without NUMA", machine("-1", map[string]string{"cpu0": "", "cpu1": ""}), []int{0, 1},
			[]string{"queues 0, 2 on processor 0", "queue 1 on processor 1"}},
		{"a processor that isn't there", machine("0", two), []int{0, 77},
			[]string{"eth1 is on NUMA node 0", "queues 0, 2 on processor 0, NUMA node 0", "queue 1 on processor 77"}},
		{"nonsense", machine("high", two), []int{0, 1},
			[]string{"queues 0, 2 on processor 0, NUMA node 0", "queue 1 on processor 1, NUMA node 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			pollers := []*poller{{cpu: c.cpus[0]}, {cpu: c.cpus[1]}}
			for id := range 3 {
				pollers[id%2].adopt(&Queue{id: id})
			}
			if got := placeNotes(c.sysfs, "eth1", pollers); !slices.Equal(got, c.want) {
				t.Errorf("notes\n%q, want\n%q", got, c.want)
			}
		})
	}
}
