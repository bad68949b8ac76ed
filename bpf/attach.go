package bpf

import (
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Mode is where on a packet's way the program runs.
type Mode int

// The modes. Auto tries Native, then Generic.
const (
	Auto    Mode = iota
	Native       // in the driver, before an skb exists
	Generic      // in the stack, on an skb (also called skb mode): slower, but any interface does it
)

func (m Mode) String() string {
	switch m {
	case Auto:
		return "auto"
	case Native:
		return "native"
	case Generic:
		return "generic"
	}
	return fmt.Sprintf("Mode(%d)", int(m))
}

// Attempt is one step of attaching that was refused.
type Attempt struct {
	Mode   Mode
	HWMeta bool   // with the device-bound program
	Err    error  // as the kernel gave it; errors.Is finds the errno
	Why    string // the same in words, with what to try
}

func (a Attempt) String() string {
	what := a.Mode.String()
	if a.HWMeta {
		what += " with hardware metadata"
	}
	return fmt.Sprintf("%s: %s (%v)", what, a.Why, a.Err)
}

// AttachError is returned when every step was refused. It unwraps to each step's error.
type AttachError struct {
	IfIndex  int
	Attempts []Attempt // in the order they were made
}

func (e *AttachError) Error() string {
	s := fmt.Sprintf("bpf: attach to interface %d", e.IfIndex)
	for _, a := range e.Attempts {
		s += "; " + a.String()
	}
	return s
}

// Unwrap gives the errors of all steps.
func (e *AttachError) Unwrap() []error {
	errs := make([]error, len(e.Attempts))
	for i, a := range e.Attempts {
		errs[i] = a.Err
	}
	return errs
}

// Attachment is the program on an interface.
type Attachment struct {
	program  *Program
	link     link.Link
	ifindex  int
	mode     Mode
	hwMeta   bool
	attempts []Attempt
	once     sync.Once
	err      error
}

// Attach puts the program on the interface with this index in the calling thread's network namespace.
//
// With HWMeta the device-bound program is tried first (Native or Auto), then the plain one natively, then, with Auto, in
// generic mode. The steps refused before the one that worked are in Attempts. If another program is there, Attach
// changes nothing and returns a *BusyError; without such an interface, ENODEV; if no step worked, an *AttachError.
func (p *Program) Attach(ifindex int, mode Mode) (*Attachment, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	if ifindex <= 0 {
		return nil, fmt.Errorf("bpf: attach: interface index %d is none", ifindex)
	}
	// A link never replaces another program: the kernel would refuse too. Asking first is for the name, and so that no
	// mode is taken for refused that is only occupied.
	if err := busy(ifindex, nil); err != nil {
		return nil, err
	}

	a := &Attachment{program: p, ifindex: ifindex}
	if p.hintsRefused != nil {
		a.attempts = append(a.attempts, *p.hintsRefused)
	}
	for _, s := range p.steps(mode) {
		l, err := link.AttachXDP(link.XDPOptions{Program: s.prog, Interface: ifindex, Flags: s.flags()})
		if err == nil {
			a.link, a.mode, a.hwMeta = l, s.mode, s.hwMeta
			p.attachments[a] = struct{}{}
			return a, nil
		}
		if isBusy(err) {
			if err := busy(ifindex, err); err != nil {
				return nil, err
			}
		}
		a.attempts = append(a.attempts, Attempt{Mode: s.mode, HWMeta: s.hwMeta, Err: err, Why: whyNotAttached(err, s.mode, s.hwMeta)})
	}
	return nil, &AttachError{IfIndex: ifindex, Attempts: a.attempts}
}

type step struct {
	prog   *ebpf.Program
	mode   Mode
	hwMeta bool
}

func (s step) flags() link.XDPAttachFlags {
	if s.mode == Generic {
		return link.XDPGenericMode
	}
	return link.XDPDriverMode
}

// steps lists what to try for a mode, best first.
func (p *Program) steps(mode Mode) []step {
	var steps []step
	if mode != Generic {
		if p.hints != nil {
			steps = append(steps, step{p.hints, Native, true})
		}
		steps = append(steps, step{p.obj.Plain, Native, false})
	}
	if mode != Native {
		steps = append(steps, step{p.obj.Plain, Generic, false})
	}
	return steps
}

// Mode is the mode that was got, Native or Generic.
func (a *Attachment) Mode() Mode { return a.mode }

// HWMeta reports whether the program that asks the NIC for metadata is the one attached.
func (a *Attachment) HWMeta() bool { return a.hwMeta }

// IfIndex is the interface the program is on.
func (a *Attachment) IfIndex() int { return a.ifindex }

// Attempts are the better steps that were refused, and why; empty when the first one worked.
func (a *Attachment) Attempts() []Attempt { return a.attempts }

// Close detaches. It may be called again, and after the interface is gone.
func (a *Attachment) Close() error {
	a.once.Do(func() {
		if err := a.link.Close(); err != nil {
			a.err = fmt.Errorf("bpf: detach from interface %d: %w", a.ifindex, err)
		}
		a.program.mu.Lock()
		delete(a.program.attachments, a)
		a.program.mu.Unlock()
	})
	return a.err
}
