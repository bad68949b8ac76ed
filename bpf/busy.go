package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// BusyError says whose program is on the interface already. What could not be found out is left zero.
type BusyError struct {
	Interface string
	IfIndex   int
	ID        uint32 // program id, as in `bpftool prog show id`
	Name      string
	Mode      string // "native", "generic", "offload" or "several"
	ByLink    bool   // attached by a bpf_link; otherwise by netlink, and it stays when its owner is gone
	PID       int    // a process that holds the program or its link
	Command   string // that process's name
	Err       error  // the kernel's refusal; nil when the program was seen before trying
}

func (e *BusyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "bpf: %s has the XDP program %q already (id %d, %s mode", e.Interface, e.Name, e.ID, e.Mode)
	if e.ByLink {
		b.WriteString(", by bpf_link")
	} else {
		b.WriteString(", by netlink")
	}
	if e.PID != 0 {
		fmt.Fprintf(&b, ", held by %s[%d]", e.Command, e.PID)
	}
	b.WriteString("): ")
	switch {
	case e.PID != 0:
		b.WriteString("stop that process first")
	case e.ByLink:
		b.WriteString("detach its link first (bpftool link)")
	case e.Mode == "generic":
		fmt.Fprintf(&b, "if nobody needs it, `ip link set dev %s xdpgeneric off`", e.Interface)
	default:
		fmt.Fprintf(&b, "if nobody needs it, `ip link set dev %s xdp off`", e.Interface)
	}
	return b.String()
}

// Unwrap gives the kernel's refusal, if it came to that.
func (e *BusyError) Unwrap() error { return e.Err }

// busy looks for a program on the interface: nil when there is none, ENODEV when there is no such interface, which
// the attach step would only call EINVAL. cause goes into the BusyError.
func busy(ifindex int, cause error) error {
	l, err := netlink.LinkByIndex(ifindex)
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) {
		return fmt.Errorf("bpf: attach: no interface has index %d in this network namespace: %w", ifindex, syscall.ENODEV)
	}
	if err != nil {
		return nil // without netlink the attach step finds out, nameless
	}
	xdp := l.Attrs().Xdp
	if xdp == nil || !xdp.Attached {
		return nil
	}
	e := &BusyError{Interface: l.Attrs().Name, IfIndex: ifindex, ID: xdp.ProgId, Mode: attachedMode(xdp.AttachMode), Err: cause}
	e.Name = programName(xdp.ProgId)
	e.ByLink = linkHolds(ifindex, xdp.ProgId)
	e.PID, e.Command = holder(xdp.ProgId)
	return e
}

// attachedMode names IFLA_XDP_ATTACHED: XDP_ATTACHED_* in include/uapi/linux/if_link.h at v6.18.
func attachedMode(attached uint32) string {
	switch attached {
	case 1:
		return "native"
	case 2:
		return "generic"
	case 3:
		return "offload"
	}
	return "several"
}

func programName(id uint32) string {
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return ""
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil {
		return ""
	}
	return info.Name
}

// linkHolds reports whether one of the system's bpf_links has this program on this interface.
func linkHolds(ifindex int, id uint32) bool {
	it := new(link.Iterator)
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil || info.Program != ebpf.ProgramID(id) {
			continue
		}
		if xdp := info.XDP(); xdp != nil && xdp.Ifindex == uint32(ifindex) {
			return true
		}
	}
	return false
}

// holder finds a process with the program, or a link to it, among its open files: /proc/PID/fdinfo says
// "prog_id: N" of both (bpf_prog_show_fdinfo, bpf_link_show_fdinfo in kernel/bpf/syscall.c at v6.18).
func holder(id uint32) (pid int, command string) {
	want := []byte("prog_id:\t" + strconv.FormatUint(uint64(id), 10) + "\n")
	files, err := filepath.Glob("/proc/[0-9]*/fdinfo/*")
	if err != nil {
		return 0, ""
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) || !bytes.Contains(text, want) {
			continue
		}
		dir := filepath.Dir(filepath.Dir(file))
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		comm, _ := os.ReadFile(filepath.Join(dir, "comm")) // the name is a courtesy
		return pid, strings.TrimSpace(string(comm))
	}
	return 0, ""
}
