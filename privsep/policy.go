package privsep

import (
	"errors"
	"fmt"
	"slices"

	"xrx/internal/netdev"
	"xrx/internal/sys"
	"xrx/match"
)

// Policy says who may have what. Interfaces and UIDs are required.
type Policy struct {
	Interfaces []string // by name; each may come and go
	UIDs       []int    // users whose processes may connect (SO_PEERCRED); root too only where it is named
	Queues     []int    // rx queues that may be had; nil: all

	Match           *match.Expr // what may be taken at most: receivers' own expressions choose among that. nil: everything
	KeepsManagement bool        // Match leaves to the kernel what the machine is managed by
	TakeAll         bool        // all traffic also of an interface that carries the default route or the SSH session

	// LockedMemory is what a receiver's limit of locked memory is raised to where it is lower, in bytes; 0: it is left alone.
	// UMEMs count against it without CAP_IPC_LOCK. It takes CAP_SYS_RESOURCE, and Linux 6.5.
	LockedMemory uint64
}

func (p *Policy) validate() error {
	switch {
	case len(p.Interfaces) == 0:
		return errors.New("privsep: a Policy without an interface: nobody could have anything")
	case len(p.UIDs) == 0:
		return errors.New("privsep: a Policy without a user: nobody could have anything")
	}
	for _, u := range p.UIDs {
		if u < 0 {
			return fmt.Errorf("privsep: user id %d is none", u)
		}
	}
	for _, q := range p.Queues {
		if q < 0 {
			return fmt.Errorf("privsep: queue %d: queues count from 0", q)
		}
	}
	return nil
}

// admits says why a process is not served, nil if it is.
func (p *Policy) admits(who sys.Peer) error {
	if !slices.Contains(p.UIDs, who.UID) {
		return fmt.Errorf("this helper serves user id %s, not %d, whose process %d is: name the user to it (--allow-user)", list(p.UIDs), who.UID, who.PID)
	}
	return nil
}

// allows says why a receiver may not have what it asks for.
func (p *Policy) allows(a *ask) error {
	if !slices.Contains(p.Interfaces, a.Interface) {
		return fmt.Errorf("interface %q is not this helper's to give: it has %s", a.Interface, list(p.Interfaces))
	}
	for _, q := range a.Queues {
		if p.Queues != nil && !slices.Contains(p.Queues, q) {
			return fmt.Errorf("queue %d of %s is not this helper's to give: it has %s (--queues)", q, a.Interface, list(p.Queues))
		}
	}
	return nil
}

// expression puts a receiver's expression and the Policy's together, and refuses to cut the machine off.
func (p *Policy) expression(text string, i netdev.Info) (*match.Expr, error) {
	e, err := match.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("match: %w", err)
	}
	both := match.And(p.Match, e)
	if both != nil && (both.Terms() > match.MaxTerms || len(both.String()) > match.MaxLength) {
		return nil, fmt.Errorf("match: together with the helper's own expression it has %d terms: at most %d", both.Terms(), match.MaxTerms)
	}
	if why := netdev.Lifeline(i); why != "" && !p.TakeAll && !p.KeepsManagement {
		return nil, fmt.Errorf("%s: refusing to take all of its traffic: %s; the helper must keep what the machine is managed by (--keep-management), or say that all may be taken (--take-all)", i.Name, why)
	}
	return both, nil
}

func list[T any](values []T) (s string) {
	for n, v := range values {
		if n > 0 {
			s += ", "
		}
		s += fmt.Sprint(v)
	}
	return s
}
