package tune

import (
	"errors"
	"fmt"
	"slices"
)

// Result says what Undo did.
type Result struct {
	Restored []*Entry // had another value, and have their original one now
	Left     []*Entry // belong to somebody else now; Why says it
	Gone     bool     // the interface is no more: there was nothing to put back
}

// Undo puts everything back that s says was changed, the last change first, because a setting may depend on an earlier
// one; then it looks again, because undoing one may have changed another. Settings that somebody else has changed since
// are left, unless forced. The state is removed from the store when nothing is left to do; with entries in Left it stays
// there for who wants to force it. The error says what could not be put back; the state stays, and Undo may be tried again.
func Undo(d Device, store Store, s *State, force bool) (Result, error) {
	var r Result
	gone, err := decide(d, s, force)
	if err != nil {
		return r, err
	}
	if gone {
		r.Gone = true
		return r, store.Remove()
	}
	for _, e := range s.Entries {
		told := slices.ContainsFunc(r.Left, func(other *Entry) bool { return other.Key == e.Key }) // a setting may be changed twice
		if e.Phase == Left && !told {
			r.Left = append(r.Left, e)
		}
	}
	if !s.Changed() && len(r.Left) == 0 {
		return r, store.Remove()
	}
	s.Undoing = true
	saveErr := store.Save(s) // without it a crash from here on is judged less well: no reason to put nothing back
	refused := map[*Entry]error{}
	put := func(e *Entry, value string) {
		now, err := d.Get(e.Key)
		if err == nil && now != value {
			if err = d.Set(e.Key, value); err == nil && !slices.Contains(r.Restored, e) {
				r.Restored = append(r.Restored, e)
			}
		}
		refused[e] = err
	}
	for _, e := range slices.Backward(s.Entries) {
		if e.touched() {
			put(e, e.Before)
		}
	}
	for _, e := range s.Entries {
		if e.touched() {
			put(e, e.Original)
		}
	}
	var errs []error
	for _, e := range s.Entries { // a refusal doesn't matter where putting another one back did it
		if !e.touched() {
			continue
		}
		now, err := d.Get(e.Key)
		switch {
		case errors.Is(err, ErrGone), err == nil && now == e.Original:
			e.Phase = Undone
		case refused[e] != nil:
			errs = append(errs, fmt.Errorf("put %s back to %s: %w", e.Key, e.Original, refused[e]))
		case err != nil:
			errs = append(errs, fmt.Errorf("put %s back to %s: %w", e.Key, e.Original, err))
		default:
			errs = append(errs, fmt.Errorf("put %s back to %s: the driver made it %s", e.Key, e.Original, now))
		}
	}
	if len(errs) > 0 || len(r.Left) > 0 {
		return r, errors.Join(append(errs, saveErr, store.Save(s))...)
	}
	return r, store.Remove()
}

// decide tells what is ours to put back from what somebody else has changed since. Once it is decided it stays so, unless
// forced: undoing one setting may change another, and so may making a change; a process that is killed meanwhile must not
// take that for somebody else's doing.
func decide(d Device, s *State, force bool) (gone bool, err error) {
	asked, missing := 0, 0
	for _, e := range s.Entries {
		if e.Phase == Left && force {
			e.Phase, e.Why = Written, ""
		}
		if !e.touched() {
			continue
		}
		asked++
		now, err := d.Get(e.Key)
		switch {
		case errors.Is(err, ErrGone):
			missing++
		case err != nil:
			return false, fmt.Errorf("read %s: %w", e.Key, err)
		case s.Undoing || !s.Settled || force || e.Phase == Writing || now == e.Got || now == e.Original || now == e.Before:
		default:
			e.Phase = Left
			e.Why = fmt.Sprintf("%s is %s now, not the %s that was set: somebody has changed it since; it was %s before", e.Key, now, e.Got, e.Original)
		}
	}
	return asked > 0 && asked == missing, nil
}
