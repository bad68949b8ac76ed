package bpf

import "github.com/cilium/ebpf"

// Info describes a loaded program for reports.
type Info struct {
	ID        uint32 // as in `bpftool prog show id`; 0 where the kernel doesn't tell
	Name      string
	Tag       string // hash of its instructions
	JitedSize uint32 // bytes of machine code; 0 where not compiled
	HWMeta    bool   // asks the NIC for metadata
	HWHash    bool
	IfIndex   int // the device it is bound to; 0: none
	Symmetric bool
	MaxQueues int
}

// Info describes the programs: the plain one, and after it the device-bound one if there is one.
func (p *Program) Info() ([]Info, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	plain, err := p.describe(p.obj.Plain)
	if err != nil {
		return nil, err
	}
	if p.hints == nil {
		return []Info{plain}, nil
	}
	hints, err := p.describe(p.hints)
	if err != nil {
		return nil, err
	}
	hints.HWMeta, hints.HWHash, hints.IfIndex = true, p.opts.HWHash, p.opts.IfIndex
	return []Info{plain, hints}, nil
}

func (p *Program) describe(prog *ebpf.Program) (Info, error) {
	i := Info{Symmetric: p.opts.Symmetric, MaxQueues: p.opts.MaxQueues}
	info, err := prog.Info()
	if err != nil {
		return i, err
	}
	i.Name, i.Tag = info.Name, info.Tag
	if id, ok := info.ID(); ok {
		i.ID = uint32(id)
	}
	if size, err := info.JitedSize(); err == nil {
		i.JitedSize = size
	}
	return i, nil
}
