package tune

import (
	"fmt"
	"slices"
)

// Apply makes the changes, in order, and records in s what it did. A change that the device refuses is an entry of
// phase Refused and no error. The error says that the state could not be kept; everything is put back then. If nothing
// was touched in the end, no state is left in the store.
func Apply(d Device, store Store, s *State, changes []Change) error {
	first := len(s.Entries) // a state may be added to
	for _, c := range changes {
		e := &Entry{Key: c.Key, Wanted: c.Value, Phase: Planned}
		var err error
		if e.Original, err = d.Get(c.Key); err != nil {
			e.Phase, e.Why = Refused, err.Error()
		}
		if e.Phase == Refused && c.Value == "" {
			continue // what can't be read can't be watched, and was not asked for
		}
		for _, before := range s.Entries { // changed earlier already: what it was before that
			if before.Key == e.Key && before.touched() {
				e.Original = before.Original
				break
			}
		}
		s.Entries = append(s.Entries, e)
	}
	if err := makeChanges(d, store, s, s.Entries[first:]); err != nil {
		_, undoErr := Undo(d, store, s, false)
		if undoErr != nil {
			return fmt.Errorf("%w; and putting back what was changed: %w", err, undoErr)
		}
		return err
	}
	return nil
}

func makeChanges(d Device, store Store, s *State, entries []*Entry) error {
	s.Settled = false
	for _, e := range entries {
		if e.Phase == Planned && e.Wanted == "" {
			e.Phase, e.Before = Writing, e.Original
		}
	}
	for _, e := range entries {
		if e.Phase != Planned {
			continue
		}
		var err error
		if e.Before, err = d.Get(e.Key); err != nil {
			e.Phase, e.Why = Refused, err.Error()
			continue
		}
		if e.Before == e.Wanted {
			e.Phase = InForce
			continue
		}
		e.Phase = Writing
		if err := store.Save(s); err != nil {
			e.Phase = Planned
			return err
		}
		err = d.Set(e.Key, e.Wanted)
		got, readErr := d.Get(e.Key)
		switch {
		case err != nil && readErr == nil && got == e.Before:
			e.Phase, e.Why = Refused, err.Error()
		case readErr == nil:
			e.Phase, e.Got = Written, got
		}
		if err != nil {
			e.Why = err.Error()
		}
	}
	touched := slices.ContainsFunc(entries, func(e *Entry) bool { return e.Wanted != "" && e.touched() })
	for _, e := range s.Entries { // again: a later change may have changed an earlier setting, or one that is watched
		if !e.touched() {
			continue
		}
		if !touched && e.Wanted == "" && slices.Contains(entries, e) {
			e.Phase = InForce
			continue
		}
		if got, err := d.Get(e.Key); err == nil {
			e.Phase, e.Got = Written, got
		}
	}
	s.Settled = true
	if s.Changed() {
		return store.Save(s)
	}
	return store.Remove()
}
