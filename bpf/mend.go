package bpf

import (
	"fmt"

	"github.com/cilium/ebpf/link"
)

// Condition is what became of a program that was attached.
type Condition uint8

// The conditions. A link can't be detached or replaced by netlink (`ip link set dev X xdp off`: EBUSY), but by whoever
// may open it by its id: `bpftool link detach`, BPF_LINK_UPDATE.
const (
	Attached Condition = iota
	Detached           // the link is on no interface any more: somebody detached it, or the interface was deleted
	Replaced           // the link runs somebody else's program
)

func (c Condition) String() string { return [...]string{"attached", "detached", "replaced"}[c] }

// Condition asks the kernel what became of the program. A running SetMatch is waited for.
func (a *Attachment) Condition() (Condition, error) {
	p := a.program
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return Attached, ErrClosed
	}
	return a.condition()
}

func (a *Attachment) condition() (Condition, error) {
	info, err := a.link.Info()
	if err != nil {
		return Attached, fmt.Errorf("bpf: link on interface %d: %w", a.ifindex, err)
	}
	if xdp := info.XDP(); xdp == nil || xdp.Ifindex == 0 { // bpf_xdp_link_fill_link_info in net/core/dev.c at v6.18
		return Detached, nil
	}
	own, err := a.program.programFor(a).Info()
	if err != nil {
		return Attached, fmt.Errorf("bpf: program on interface %d: %w", a.ifindex, err)
	}
	if id, ok := own.ID(); ok && id != info.Program {
		return Replaced, nil
	}
	return Attached, nil
}

// Mend puts the program back where it was: into its link, or with a new link onto the interface, in the mode it had. It
// must be called on a thread of the interface's network namespace. Where another program is by now, a *BusyError.
func (a *Attachment) Mend() error {
	p := a.program
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	c, err := a.condition()
	if err != nil || c == Attached {
		return err
	}
	prog := p.programFor(a)
	if c == Replaced {
		if err := a.link.Update(prog); err != nil {
			return fmt.Errorf("bpf: put the program back on interface %d: %w", a.ifindex, err)
		}
		return nil
	}
	if err := busy(a.ifindex, nil); err != nil {
		return err
	}
	s := step{prog, a.mode, a.hwMeta}
	l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: a.ifindex, Flags: s.flags()})
	if err != nil {
		if isBusy(err) {
			if err := busy(a.ifindex, err); err != nil {
				return err
			}
		}
		return fmt.Errorf("bpf: attach to interface %d again: %s: %w", a.ifindex, whyNotAttached(err, s.mode, s.hwMeta), err)
	}
	old := a.link
	a.link = l
	if err := old.Close(); err != nil {
		return fmt.Errorf("bpf: close the link that was detached from interface %d: %w", a.ifindex, err)
	}
	return nil
}
