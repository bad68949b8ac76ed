package bpf

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"xrx/match"
)

// matchFunction is the function in xrx.bpf.c whose body a compiled expression replaces.
const matchFunction = "xrx_match"

// xrxMapGlobals is the section of variables that are written at run time.
const xrxMapGlobals = ".bss"

// spliceMatch puts the compiled expression into every program of the object that asks for it. Without one the programs
// don't ask: the verifier drops the call.
func spliceMatch(spec *ebpf.CollectionSpec, e *match.Expr) error {
	if e == nil {
		return nil
	}
	body, err := e.Compile()
	if err != nil {
		return fmt.Errorf("bpf: %w", err)
	}
	if err := spec.Variables[xrxVarMatching].Set(uint8(1)); err != nil {
		return fmt.Errorf("bpf: set %s: %w", xrxVarMatching, err)
	}
	for name, prog := range spec.Programs {
		begin := slices.IndexFunc(prog.Instructions, func(i asm.Instruction) bool { return i.Symbol() == matchFunction })
		if begin < 0 {
			return fmt.Errorf("bpf: the object's %s has no %s", name, matchFunction)
		}
		after := prog.Instructions[begin+1:]
		end := slices.IndexFunc(after, func(i asm.Instruction) bool { return btf.FuncMetadata(&i) != nil })
		if end < 0 {
			end = len(after)
		}
		// The kernel wants a type and a source line of every function; the C's stay.
		first := prog.Instructions[begin]
		own := slices.Clone(body)
		own[0] = btf.WithFuncMetadata(own[0].WithSymbol(matchFunction), btf.FuncMetadata(&first)).WithSource(first.Source())
		prog.Instructions = slices.Concat(prog.Instructions[:begin], own, after[end:])
	}
	return nil
}

// SetMatch replaces the expression that says which packets to take, wherever the program is attached: a program with the
// new one is loaded over the same maps and put in the old one's place in one step, so that every packet is decided by
// one of the two and counted once. nil takes everything. On error the old one stays. With HWMeta, the calling thread must be
// in the device's network namespace, as for Load.
func (p *Program) SetMatch(e *match.Expr) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	next := &Program{opts: p.opts}
	next.opts.Match = e
	defer func() {
		if err != nil {
			err = errors.Join(err, next.obj.Plain.Close(), next.hints.Close())
		}
	}()
	if err = next.loadOver(p); err != nil {
		return err
	}
	var updated []*Attachment
	for a := range p.attachments {
		if err = a.link.Update(next.programFor(a)); err != nil {
			err = fmt.Errorf("bpf: replace the program on interface %d: %w", a.ifindex, err)
			for _, a := range updated {
				err = errors.Join(err, a.link.Update(p.programFor(a)))
			}
			return err
		}
		updated = append(updated, a)
	}
	old := []*ebpf.Program{p.obj.Plain, p.hints}
	p.opts, p.obj.Plain, p.hints = next.opts, next.obj.Plain, next.hints
	return errors.Join(old[0].Close(), old[1].Close())
}

// programFor is the program that belongs into an attachment's link.
func (p *Program) programFor(a *Attachment) *ebpf.Program {
	if a.hwMeta {
		return p.hints
	}
	return p.obj.Plain
}

// loadOver loads programs by p's options that share old's maps.
func (p *Program) loadOver(old *Program) error {
	spec, err := loadXrx()
	if err != nil {
		return fmt.Errorf("bpf: read the embedded object: %w", err)
	}
	if err := configure(spec, p.opts); err != nil {
		return err
	}
	opts := &ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{
		xrxMapXsks: old.obj.Sockets, xrxMapCounts: old.obj.Counts, xrxMapTold: old.obj.Told, xrxMapGlobals: old.obj.Globals,
	}}
	if old.hints == nil {
		var one struct {
			Plain *ebpf.Program `ebpf:"xrx_rx"`
		}
		err = spec.LoadAndAssign(&one, opts)
		p.obj.Plain = one.Plain
	} else {
		var both struct {
			Plain *ebpf.Program `ebpf:"xrx_rx"`
			Hints *ebpf.Program `ebpf:"xrx_rx_hints"`
		}
		err = spec.LoadAndAssign(&both, opts)
		p.obj.Plain, p.hints = both.Plain, both.Hints
	}
	switch {
	case err != nil && old.hints != nil:
		return fmt.Errorf("bpf: load again (device %d must be in this network namespace): %w", p.opts.IfIndex, explainLoad(err))
	case err != nil:
		return fmt.Errorf("bpf: load again: %w", explainLoad(err))
	}
	return nil
}
