package netdev

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// XDPProgram is a program on an interface. What could not be found out is left zero.
type XDPProgram struct {
	ID     uint32 // as in `bpftool prog show id`
	Mode   string // "native", "generic" or "offload"
	Name   string
	ByLink bool // by a bpf_link, which goes with its last holder; otherwise by netlink, and it stays
	LinkID uint32
	Owners []Process // who holds the program or its link open
}

// Process is a process by number and name.
type Process struct {
	PID  int
	Name string
}

func (p Process) String() string { return fmt.Sprintf("%s[%d]", p.Name, p.PID) }

// Attributes inside IFLA_XDP and values of IFLA_XDP_ATTACHED, include/uapi/linux/if_link.h at v6.18.
const (
	xdpAttached   = 2
	xdpProgID     = 4
	xdpNativeID   = 5
	xdpGenericID  = 6
	xdpOffloadID  = 7
	xdpInDriver   = 1
	xdpInStack    = 2
	xdpInHardware = 3
)

// XDPPrograms lists the programs on an interface, at most one in each mode.
func XDPPrograms(index int) ([]XDPProgram, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	about := nl.NewIfInfomsg(unix.AF_UNSPEC)
	about.Index = int32(index)
	req.AddData(about)
	answers, err := req.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil {
		return nil, fmt.Errorf("XDP programs of interface %d: %w", index, err)
	}
	var list []XDPProgram
	for _, a := range answers {
		attrs, err := nl.ParseRouteAttr(a[unix.SizeofIfInfomsg:])
		if err != nil {
			return nil, err
		}
		for _, attr := range attrs {
			if attr.Attr.Type&^unix.NLA_F_NESTED == unix.IFLA_XDP {
				if list, err = attachedPrograms(attr.Value); err != nil {
					return nil, err
				}
			}
		}
	}
	for i := range list {
		list[i].identify(index)
	}
	return list, nil
}

// attachedPrograms reads IFLA_XDP: with one program IFLA_XDP_PROG_ID and the mode, with several one id for each mode
// (rtnl_xdp_fill in net/core/rtnetlink.c at v6.18).
func attachedPrograms(nested []byte) ([]XDPProgram, error) {
	attrs, err := nl.ParseRouteAttr(nested)
	if err != nil {
		return nil, err
	}
	modes := map[uint16]string{xdpNativeID: "native", xdpGenericID: "generic", xdpOffloadID: "offload"}
	var list []XDPProgram
	var attached byte
	var only uint32
	for _, a := range attrs {
		switch a.Attr.Type {
		case xdpAttached:
			attached = a.Value[0]
		case xdpProgID:
			only = uint32(number(a.Value))
		case xdpNativeID, xdpGenericID, xdpOffloadID:
			list = append(list, XDPProgram{ID: uint32(number(a.Value)), Mode: modes[a.Attr.Type]})
		}
	}
	if len(list) > 0 || attached == 0 {
		return list, nil
	}
	mode := map[byte]string{xdpInDriver: "native", xdpInStack: "generic", xdpInHardware: "offload"}[attached]
	return []XDPProgram{{ID: only, Mode: mode}}, nil
}

// identify adds the program's name, how it is attached and who holds it.
func (p *XDPProgram) identify(index int) {
	if prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(p.ID)); err == nil {
		if info, err := prog.Info(); err == nil {
			p.Name = info.Name
		}
		prog.Close()
	}
	p.ByLink, p.LinkID = linkOn(index, p.ID)
	p.Owners = holders(p.ID) // last: by now no descriptor of our own is among them
}

// linkOn finds the bpf_link that has this program on this interface.
func linkOn(index int, program uint32) (found bool, id uint32) {
	it := new(link.Iterator)
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil || info.Program != ebpf.ProgramID(program) {
			continue
		}
		if xdp := info.XDP(); xdp != nil && xdp.Ifindex == uint32(index) {
			return true, uint32(info.ID)
		}
	}
	return false, 0
}

// holders finds the processes with the program, or a link to it, among their open files: /proc/PID/fdinfo says
// "prog_id: N" of both (bpf_prog_show_fdinfo, bpf_link_show_fdinfo in kernel/bpf/syscall.c at v6.18).
func holders(id uint32) (found []Process) {
	want := []byte("prog_id:\t" + strconv.FormatUint(uint64(id), 10) + "\n")
	files, _ := filepath.Glob("/proc/[0-9]*/fdinfo/*") // the pattern is well-formed
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(text, want) {
			continue
		}
		p, err := process(filepath.Dir(filepath.Dir(file)))
		if err == nil && !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found
}

// process names the process of a directory of /proc.
func process(dir string) (p Process, err error) {
	if p.PID, err = strconv.Atoi(filepath.Base(dir)); err != nil {
		return p, err
	}
	comm, err := os.ReadFile(filepath.Join(dir, "comm"))
	if errors.Is(err, os.ErrNotExist) {
		return p, err
	}
	p.Name = strings.TrimSpace(string(comm))
	return p, nil
}
