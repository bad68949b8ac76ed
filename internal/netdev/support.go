package netdev

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

type attribute = syscall.NetlinkRouteAttr

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

// ask sends one request of the netdev family about an interface and returns the attributes of each answer. The library's
// own exchange stops at the first message without NLM_F_MULTI, which this family leaves out (genlmsg_iput in
// include/net/genetlink.h at v6.18): a dump ends with NLMSG_DONE, an answer with its acknowledgement.
func ask(command uint8, attr, index, flags int) (messages [][]attribute, err error) {
	family, err := netlink.GenlFamilyGet("netdev")
	if err != nil {
		return nil, fmt.Errorf("generic netlink family netdev (needs Linux 6.3 or newer): %w", err)
	}
	if flags&unix.NLM_F_DUMP == 0 {
		flags |= unix.NLM_F_ACK
	}
	req := nl.NewNetlinkRequest(int(family.ID), flags)
	req.AddData(genlHeader{command, uint8(family.Version), 0, 0})
	req.AddData(nl.NewRtAttr(attr, nl.Uint32Attr(uint32(index))))
	s, err := nl.Subscribe(unix.NETLINK_GENERIC)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := s.SetReceiveTimeout(&unix.Timeval{Sec: 5}); err != nil {
		return nil, err
	}
	if err := s.Send(req); err != nil {
		return nil, err
	}
	for {
		answers, _, err := s.Receive()
		if err != nil {
			return nil, err
		}
		for _, a := range answers {
			switch {
			case a.Header.Seq != req.Seq:
			case a.Header.Type == unix.NLMSG_DONE, a.Header.Type == unix.NLMSG_ERROR:
				return messages, outcome(a.Data)
			case len(a.Data) < nl.SizeofGenlmsg:
				return nil, fmt.Errorf("netdev: an answer of %d bytes", len(a.Data))
			default:
				attrs, err := nl.ParseRouteAttr(a.Data[nl.SizeofGenlmsg:])
				if err != nil {
					return nil, err
				}
				messages = append(messages, attrs)
			}
		}
	}
}

// outcome reads the error number, negative or 0, that NLMSG_ERROR and NLMSG_DONE begin with (netlink(7)).
func outcome(data []byte) error {
	if len(data) < 4 {
		return nil
	}
	if n := int32(binary.NativeEndian.Uint32(data)); n < 0 {
		return syscall.Errno(-n)
	}
	return nil
}

// genlHeader is struct genlmsghdr: command, version and two reserved bytes, which must be 0 (genl_header_check in
// net/netlink/genetlink.c at v6.18). The library's own type sends what happens to lie behind it in memory.
type genlHeader [4]byte

func (h genlHeader) Len() int          { return len(h) }
func (h genlHeader) Serialize() []byte { return h[:] }

// number reads a native unsigned integer of 4 or 8 bytes.
func number(b []byte) uint64 {
	switch len(b) {
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	case 8:
		return binary.NativeEndian.Uint64(b)
	}
	return 0
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
