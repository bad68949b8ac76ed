// Package scorecardbpf holds the XDP programs of those scorecard cases that can't be played with xrx's own program. For
// tests only.
package scorecardbpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

// The objects are committed, so building takes Go alone. To regenerate them takes clang 14 and libbpf's headers (Debian
// 12: clang-14 llvm-14 libbpf-dev).

//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -cflags "-O2 -g -Wall -Werror -mcpu=v3 -I../../bpf" scorecard scorecard.bpf.c

// The programs.
const (
	DropHalf   = scorecardProgDropHalf   // drops every second packet
	CountMeta  = scorecardProgCountMeta  // metadata of kind 1, all zero but the hash: the packet's number, from 1
	ShrinkTail = scorecardProgShrinkTail // takes ShrinkBytes off the end of every packet
)

// ShrinkBytes is how much ShrinkTail takes off.
const ShrinkBytes = 64

// Program is one of the programs, attached to an interface.
type Program struct {
	prog    *ebpf.Program
	sockets *ebpf.Map
	link    link.Link
}

// Attach loads a program by name and puts it on the interface with this index of the calling thread's network namespace,
// natively or in generic mode.
func Attach(name string, ifindex int, generic bool) (p *Program, err error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("lift the locked-memory limit: %w", err)
	}
	spec, err := loadScorecard()
	if err != nil {
		return nil, err
	}
	all, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", name, err)
	}
	defer all.Close() // what is detached from it stays
	p = &Program{prog: all.DetachProgram(name), sockets: all.DetachMap(scorecardMapXsks)}
	flags := link.XDPDriverMode
	if generic {
		flags = link.XDPGenericMode
	}
	if p.link, err = link.AttachXDP(link.XDPOptions{Program: p.prog, Interface: ifindex, Flags: flags}); err != nil {
		return nil, errors.Join(fmt.Errorf("attach %s: %w", name, err), p.prog.Close(), p.sockets.Close())
	}
	return p, nil
}

// Register sends the packets of queue 0 to the AF_XDP socket fd.
func (p *Program) Register(fd int) error { return p.sockets.Put(uint32(0), uint32(fd)) }

// Close detaches and unloads the program.
func (p *Program) Close() error {
	return errors.Join(p.link.Close(), p.prog.Close(), p.sockets.Close())
}
