package netdev

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

type attribute = syscall.NetlinkRouteAttr

// genl is a generic netlink socket: it stays in the network namespace of the thread that made it, wherever its callers
// are. The library's own exchange stops at the first message without NLM_F_MULTI, which the netdev family leaves out
// (genlmsg_iput in include/net/genetlink.h at v6.18): a dump ends with NLMSG_DONE, an answer with its acknowledgement.
type genl struct {
	mu       sync.Mutex
	socket   *nl.NetlinkSocket
	families map[string]*netlink.GenlFamily
}

func newGenl() (*genl, error) {
	s, err := nl.Subscribe(unix.NETLINK_GENERIC)
	if err != nil {
		return nil, err
	}
	if err := s.SetReceiveTimeout(&unix.Timeval{Sec: 5}); err != nil {
		s.Close()
		return nil, err
	}
	// The kernel's own words about an error (NLMSGERR_ATTR_MSG), and without the request in front of them.
	unix.SetsockoptInt(s.GetFd(), unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	unix.SetsockoptInt(s.GetFd(), unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	return &genl{socket: s, families: map[string]*netlink.GenlFamily{}}, nil
}

func (g *genl) close() { g.socket.Close() }

func (g *genl) family(name string) (*netlink.GenlFamily, error) {
	if f := g.families[name]; f != nil {
		return f, nil
	}
	f, err := netlink.GenlFamilyGet(name)
	if err != nil {
		since := map[string]string{"netdev": "6.3", "ethtool": "5.6 with CONFIG_ETHTOOL_NETLINK"}[name]
		return nil, fmt.Errorf("generic netlink family %s (needs Linux %s or newer): %w", name, since, err)
	}
	g.families[name] = f
	return f, nil
}

// ask sends one request and returns the attributes of each answer.
func (g *genl) ask(family string, command uint8, flags int, attrs ...*nl.RtAttr) (messages [][]attribute, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f, err := g.family(family)
	if err != nil {
		return nil, err
	}
	if flags&unix.NLM_F_DUMP == 0 {
		flags |= unix.NLM_F_ACK
	}
	req := nl.NewNetlinkRequest(int(f.ID), flags)
	req.AddData(genlHeader{command, uint8(f.Version), 0, 0})
	for _, a := range attrs {
		req.AddData(a)
	}
	if err := g.socket.Send(req); err != nil {
		return nil, err
	}
	for {
		answers, _, err := g.socket.Receive()
		if err != nil {
			return nil, err
		}
		for _, a := range answers {
			switch {
			case a.Header.Seq != req.Seq:
			case a.Header.Type == unix.NLMSG_DONE, a.Header.Type == unix.NLMSG_ERROR:
				return messages, outcome(a.Header.Flags, a.Data)
			case len(a.Data) < nl.SizeofGenlmsg:
				return nil, fmt.Errorf("%s: an answer of %d bytes", family, len(a.Data))
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

// refusal is an errno with the kernel's own words about it.
type refusal struct {
	errno syscall.Errno
	words string
}

func (r *refusal) Error() string { return r.errno.Error() + ": " + r.words }
func (r *refusal) Unwrap() error { return r.errno }

// Of struct nlmsgerr and its attributes: include/uapi/linux/netlink.h at v6.18.
const (
	nlmsgerrSize = 4 + unix.SizeofNlMsghdr // errno, the header of the request
	nlmsgerrMsg  = 1                       // NLMSGERR_ATTR_MSG
)

// outcome reads the error number, negative or 0, that NLMSG_ERROR and NLMSG_DONE begin with (netlink(7)), and the words
// that follow it in an NLMSG_ERROR with NLM_F_ACK_TLVS.
func outcome(flags uint16, data []byte) error {
	if len(data) < 4 {
		return nil
	}
	n := int32(binary.NativeEndian.Uint32(data))
	if n >= 0 {
		return nil
	}
	errno := syscall.Errno(-n)
	if flags&unix.NLM_F_ACK_TLVS == 0 || flags&unix.NLM_F_CAPPED == 0 || len(data) < nlmsgerrSize {
		return errno
	}
	attrs, err := nl.ParseRouteAttr(data[nlmsgerrSize:])
	if err != nil {
		return errno
	}
	for _, a := range attrs {
		if a.Attr.Type == nlmsgerrMsg {
			return &refusal{errno, strings.TrimRight(string(a.Value), "\x00")}
		}
	}
	return errno
}

// genlHeader is struct genlmsghdr: command, version and two reserved bytes, which must be 0 (genl_header_check in
// net/netlink/genetlink.c at v6.18). The library's own type sends what happens to lie behind it in memory.
type genlHeader [4]byte

func (h genlHeader) Len() int          { return len(h) }
func (h genlHeader) Serialize() []byte { return h[:] }

// number reads a native unsigned integer of 1, 4 or 8 bytes.
func number(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	case 8:
		return binary.NativeEndian.Uint64(b)
	}
	return 0
}
