package privsep

import (
	"errors"
	"syscall"

	"xrx/bpf"
)

// Link is the program on the interface, as bpf.Attachment is; the helper has it.
type Link struct{ g *Grant }

// Link returns the grant's.
func (g *Grant) Link() *Link { return &Link{g} }

// Mode is bpf.Attachment's.
func (l *Link) Mode() bpf.Mode { return bpf.Mode(l.g.first.Mode) }

// HWMeta is bpf.Attachment's.
func (l *Link) HWMeta() bool { return l.g.first.HWMeta }

// Attempts is bpf.Attachment's.
func (l *Link) Attempts() (list []bpf.Attempt) {
	for _, a := range l.g.first.Attempts {
		list = append(list, bpf.Attempt{Mode: bpf.Mode(a.Mode), HWMeta: a.HWMeta, Err: &Error{a.Error, syscall.Errno(a.Errno)}, Why: a.Why})
	}
	return list
}

// Condition is bpf.Attachment's.
func (l *Link) Condition() (bpf.Condition, error) {
	r, fds, err := l.g.ask(&request{Op: opCondition}, 0)
	if err = errors.Join(err, closeAll(fds)); err != nil {
		return bpf.Attached, err
	}
	return bpf.Condition(r.Condition), nil
}

// Mend is bpf.Attachment's.
func (l *Link) Mend() error { return l.g.tell(opMend, 0) }

// Close takes the program off. When the helper has gone, it is off.
func (l *Link) Close() error { return unlessGone(l.g.tell(opDetach, 0)) }
