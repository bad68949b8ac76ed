package xrx

import (
	"fmt"

	"xrx/bpf"
	"xrx/internal/stage"
	"xrx/match"
	"xrx/privsep"
	"xrx/xsk"
)

// program is the XDP program, of this process or of a helper.
type program interface {
	Register(queue, fd int) error
	Unregister(queue int) error
	SetMatch(*match.Expr) error
	Counters() (bpf.Counters, error)
	MetaRefused() bool
	Truncated() int
	Close() error
}

// attachment is that program on the interface.
type attachment interface {
	Mode() bpf.Mode
	HWMeta() bool
	Attempts() []bpf.Attempt
	Condition() (bpf.Condition, error)
	Mend() error
	Close() error
}

var (
	_ program    = (*bpf.Program)(nil)
	_ program    = (*privsep.Grant)(nil)
	_ attachment = (*bpf.Attachment)(nil)
	_ attachment = (*privsep.Link)(nil)
)

// putProgram loads the program and puts it on the interface.
func (r *Receiver) putProgram(o bpf.Options, mode bpf.Mode) error {
	p, err := bpf.Load(o)
	if err != nil {
		return err
	}
	r.prog = p
	stage.At("program loaded")
	a, err := p.Attach(r.iface.Index, mode)
	switch {
	case err != nil && r.cfg.Bind == xsk.ZeroCopy:
		return fmt.Errorf("zero-copy (--bind zerocopy) needs the XDP program in native mode, which this driver refuses; --bind copy works with every driver: %w", err)
	case err != nil:
		return err
	}
	r.link = a
	return nil
}

// askHelper has the helper do it, and takes the sockets from it.
func (r *Receiver) askHelper(ids []int, o bpf.Options, mode bpf.Mode) error {
	g, err := privsep.Open(r.cfg.Helper, privsep.Request{Interface: r.iface.Name, Queues: ids, Attach: mode, Options: o})
	if err != nil {
		return err
	}
	r.prog, r.link, r.grant = g, g.Link(), g
	if g.IfIndex() != r.iface.Index {
		return fmt.Errorf("helper: %s was replaced just now: try again", r.iface.Name)
	}
	r.matching = r.inForce(r.matching)
	return nil
}

// inForce is what decides about packets when e was asked for: a helper may allow less.
func (r *Receiver) inForce(e *match.Expr) *match.Expr {
	if r.grant == nil {
		return e
	}
	return r.grant.InForce()
}
