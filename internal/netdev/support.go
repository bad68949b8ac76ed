package netdev

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Support is what a driver says it can do with XDP. Bits and attributes are those of netdev-genl:
// include/uapi/linux/netdev.h and Documentation/netlink/specs/netdev.yaml at v6.18.
type Support struct {
	XDP      uint64 // NETDEV_XDP_ACT_*
	Metadata uint64 // NETDEV_XDP_RX_METADATA_*: kfuncs that an XDP program bound to the device may call
	ZCSegs   int    // most frames of one packet in zero-copy; 0 or 1: one
}

// Bits of Support.XDP and of Support.Metadata.
const (
	ActBasic    = 1 << 0 // native XDP: PASS, DROP, TX, ABORTED
	ActRedirect = 1 << 1
	ActZeroCopy = 1 << 3
	ActRxSG     = 1 << 5 // packets over several buffers

	MetaTimestamp = 1 << 0
	MetaHash      = 1 << 1
	MetaVLAN      = 1 << 2
)

var (
	actNames  = []string{"basic", "redirect", "ndo-xmit", "xsk-zerocopy", "hw-offload", "rx-sg", "ndo-xmit-sg"}
	metaNames = []string{"timestamp", "hash", "vlan-tag"}
)

// Features names what is set in XDP, as the kernel's specification does; "none" if nothing is.
func (s Support) Features() string { return bitNames(s.XDP, actNames) }

// MetadataNames names what is set in Metadata; "none" if nothing is.
func (s Support) MetadataNames() string { return bitNames(s.Metadata, metaNames) }

func bitNames(bits uint64, names []string) string {
	var set []string
	for i, name := range names {
		if bits&(1<<i) != 0 {
			set = append(set, name)
		}
	}
	if rest := bits >> len(names); rest != 0 {
		set = append(set, fmt.Sprintf("%#x", rest<<len(names)))
	}
	if len(set) == 0 {
		return "none"
	}
	return strings.Join(set, " ")
}

// Commands and attributes of the family, include/uapi/linux/netdev.h at v6.18.
const (
	cmdDevGet   = 1
	cmdQueueGet = 10

	devIfindex     = 1
	devXDPFeatures = 3
	devZCMaxSegs   = 4
	devRxMetadata  = 5

	queueID      = 1
	queueIfindex = 2
	queueType    = 3 // 0 is rx
	queueXSK     = 7 // there when the queue has an AF_XDP socket; since 6.15
)

// GetSupport asks the kernel what the interface's driver supports; before 6.3 it can't be asked (ENOENT).
func GetSupport(index int) (Support, error) {
	messages, err := ask(cmdDevGet, devIfindex, index, 0)
	if err != nil {
		return Support{}, fmt.Errorf("XDP features of interface %d: %w", index, err)
	}
	var s Support
	for _, m := range messages {
		for _, a := range m {
			switch a.Attr.Type {
			case devXDPFeatures:
				s.XDP = number(a.Value)
			case devZCMaxSegs:
				s.ZCSegs = int(number(a.Value))
			case devRxMetadata:
				s.Metadata = number(a.Value)
			}
		}
	}
	return s, nil
}

// QueuesWithSockets lists the rx queues that an AF_XDP socket has, zero-copy or not. known is false where the kernel
// doesn't tell: before 6.15, and of an interface that is down.
func QueuesWithSockets(index int) (queues []int, known bool) {
	if !kernelAtLeast(6, 15) {
		return nil, false
	}
	messages, err := ask(cmdQueueGet, queueIfindex, index, unix.NLM_F_DUMP)
	if err != nil {
		return nil, false
	}
	for _, m := range messages {
		id, rx, taken := -1, false, false
		for _, a := range m {
			switch a.Attr.Type &^ unix.NLA_F_NESTED {
			case queueID:
				id = int(number(a.Value))
			case queueType:
				rx = number(a.Value) == 0
			case queueXSK:
				taken = true
			}
		}
		if rx && id >= 0 {
			known = true
			if taken {
				queues = append(queues, id)
			}
		}
	}
	slices.Sort(queues)
	return queues, known
}

// ask sends one request of the netdev family about an interface and returns the attributes of each answer.
func ask(command uint8, attr, index, flags int) ([][]attribute, error) {
	g, err := newGenl()
	if err != nil {
		return nil, err
	}
	defer g.close()
	return g.ask("netdev", command, flags, nl.NewRtAttr(attr, nl.Uint32Attr(uint32(index))))
}

// kernelAtLeast compares the running kernel's release (uname -r).
func kernelAtLeast(major, minor int) bool {
	var u unix.Utsname
	var a, b int
	if unix.Uname(&u) != nil {
		return false
	}
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
}
