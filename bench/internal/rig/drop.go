package rig

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"xrx/internal/vethnet"
)

// ceiling counts and drops in XDP: what the source and the veth pair can do at most.
type ceiling struct{ end *vethnet.End }

func (ceiling) Name() string { return "XDP_DROP (ceiling)" }

// dropping is ceiling at work.
type dropping struct {
	count *ebpf.Map
	link  link.Link
}

func (c ceiling) Start() (_ Running, err error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return nil, err
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Apache-2.0", Instructions: asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "drop"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("drop"), // XDP_DROP
		asm.Return(),
	}})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load program: %w", err), m.Close())
	}
	defer p.Close()
	d := &dropping{count: m}
	if d.link, err = attach(c.end, p); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return d, nil
}

// attach puts a program on an interface, in native mode, until the link is closed.
func attach(end *vethnet.End, p *ebpf.Program) (l link.Link, err error) {
	err = end.Do(func() (err error) {
		l, err = link.AttachXDP(link.XDPOptions{Program: p, Interface: end.Index, Flags: link.XDPDriverMode})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	return l, nil
}

// CPU: there is nobody to use any.
func (d *dropping) CPU() (time.Duration, error) { return 0, nil }

func (d *dropping) Stop() (c Counts, err error) {
	var per []uint64
	err = d.count.Lookup(uint32(0), &per)
	for _, n := range per {
		c.Packets += n
	}
	c.unknown = true
	return c, errors.Join(err, d.link.Close(), d.count.Close())
}

// passing lets the kernel's own stack take what is redirected to an interface.
type passing struct {
	end  *vethnet.End
	link link.Link
}

// setUp attaches a program that passes everything, or removes it.
func (p *passing) setUp(on bool) error {
	if !on {
		return p.link.Close()
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Apache-2.0", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, 2), // XDP_PASS
		asm.Return(),
	}})
	if err != nil {
		return fmt.Errorf("load program: %w", err)
	}
	defer prog.Close()
	p.link, err = attach(p.end, prog)
	return err
}
