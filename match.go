package xrx

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"xrx/match"
)

// Expression is what Match and KeepManagement choose together; nil is everything. The error is a *match.SyntaxError.
func (c *Config) Expression() (*match.Expr, error) {
	e, err := match.Parse(c.Match)
	if err != nil {
		return nil, fmt.Errorf("xrx: match: %w", err)
	}
	if c.KeepManagement {
		e = match.And(e, match.Not(match.Management(sshPort()...)))
	}
	return e, nil
}

// sshPort is the port of the SSH server through whose session this process was started, if it is not the usual one.
// SSH_CONNECTION: client address, client port, server address, server port (ssh(1)).
func sshPort() []uint16 {
	if f := strings.Fields(os.Getenv("SSH_CONNECTION")); len(f) == 4 {
		if p, err := strconv.ParseUint(f[3], 10, 16); err == nil && p != 22 {
			return []uint16{uint16(p)}
		}
	}
	return nil
}

// spares reports whether packets may be taken off the machine's lifeline: because the user says so, or because some are
// chosen and those that the machine is managed by are not among them.
func (c *Config) spares() bool {
	return c.TakeAll || c.KeepManagement && c.Match != ""
}

// SetMatch replaces Config.Match, also while Run is running: each packet is decided by the old expression or by the new
// one, and none is lost or taken twice for it. KeepManagement stays as it is. On error the old expression stays: a
// *match.SyntaxError, ErrLifeline, or what the kernel said.
func (r *Receiver) SetMatch(expr string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.New("xrx: SetMatch on a closed receiver")
	}
	cfg := r.cfg
	cfg.Match = strings.TrimSpace(expr)
	e, err := cfg.Expression()
	if err != nil {
		return err
	}
	if r.lifeline != "" && !cfg.spares() {
		return fmt.Errorf("xrx: %s: %w: %s; an expression and KeepManagement are needed here", r.iface.Name, ErrLifeline, r.lifeline)
	}
	replace := func() error { return r.prog.SetMatch(e) }
	if r.cfg.HWMeta { // the kernel looks in this thread's namespace for the device to bind the new program to
		err = r.follow.namespace.Do(replace)
	} else {
		err = replace()
	}
	if err != nil {
		return fmt.Errorf("xrx: %w", err)
	}
	r.matching = r.inForce(e)
	return nil
}

// Match returns the expression in force in its canonical form, with what KeepManagement leaves to the kernel; "" is
// everything.
func (r *Receiver) Match() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.matching.String()
}
