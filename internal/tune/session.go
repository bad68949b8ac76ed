package tune

import (
	"errors"
	"fmt"
	"strings"
)

// Session is an interface with its state file.
type Session struct {
	Iface *Interface
	File  File
	name  string
	state *State // of our own changes; nil: none
}

// OpenSession opens an interface of the calling thread's network namespace; dir "" is DefaultDir.
func OpenSession(name, kind, dir string) (*Session, error) {
	i, err := OpenInterface(name)
	if err != nil {
		return nil, err
	}
	return &Session{Iface: i, File: NewFile(dir, kind, i.dev.Namespace, i.dev.Index, name), name: name}, nil
}

// Stale returns the state that another process left behind, nil if there is none. One from before the last boot, or of
// another namespace whose inode was reused, speaks of an interface that is no more: it is removed.
func (s *Session) Stale() (*State, error) {
	state, err := s.File.Load()
	if err != nil || state == nil {
		return nil, err
	}
	if state.Boot != BootID() || state.Cookie != s.Iface.dev.Cookie && state.Cookie != 0 {
		return nil, s.File.Remove()
	}
	return state, nil
}

// ErrOwned says that the process which changed the settings still runs.
var ErrOwned = errors.New("the process that changed these settings still runs, and will put them back itself")

// Restore puts back what another process left changed. Nothing left: nil, and no error. It refuses while that process
// runs.
func (s *Session) Restore(force bool) (*Result, error) {
	if state, err := s.File.Load(); err != nil || state == nil {
		return nil, err // and no directory is made in vain
	}
	unlock, err := s.File.Lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	state, err := s.Stale()
	if err != nil || state == nil {
		return nil, err
	}
	if state.Owner.Alive() && state.Owner != Self() { // ours, where putting back failed
		return nil, fmt.Errorf("%w: %s (%s)", ErrOwned, state.Owner, s.File.Path())
	}
	r, err := Undo(s.Iface, s.File, state, force)
	return &r, err
}

// Apply makes changes and remembers them. There must be no stale state.
func (s *Session) Apply(changes []Change) (*State, error) {
	unlock, err := s.File.Lock()
	if err != nil {
		return nil, fmt.Errorf("%w; without a state file no setting is changed", err)
	}
	defer unlock()
	s.state = s.newState()
	return s.state, Apply(s.Iface, s.File, s.state, changes)
}

// ApplyAll makes changes that belong to no process, all or none, and returns them; Restore puts them back.
func (s *Session) ApplyAll(changes []Change) ([]*Entry, error) {
	unlock, err := s.File.Lock()
	if err != nil {
		return nil, fmt.Errorf("%w; without a state file no setting is changed", err)
	}
	defer unlock()
	state, err := s.Stale()
	if err != nil {
		return nil, err
	}
	if state == nil {
		state = s.newState()
	}
	state.Undoing = false
	before := len(state.Entries)
	if err := Apply(s.Iface, s.File, state, changes); err != nil {
		return nil, err
	}
	made := state.Entries[before:]
	for _, e := range made {
		if e.Phase == Refused {
			return nil, errors.Join(errors.New(e.Why), s.takeBack(state, before))
		}
	}
	return made, nil
}

// takeBack undoes the entries from one on, and keeps those before it.
func (s *Session) takeBack(state *State, from int) error {
	last := *state
	last.Entries = state.Entries[from:]
	for i, e := range last.Entries { // to what it was before this time, not before the first
		e.Original = e.Before
		for _, earlier := range last.Entries[:i] {
			if earlier.Key == e.Key && earlier.touched() {
				e.Original = earlier.Original
				break
			}
		}
	}
	if _, err := Undo(s.Iface, rest{s.File, s.Iface, state, from}, &last, false); err != nil {
		return fmt.Errorf("and putting back the rest: %w", err)
	}
	return nil
}

// rest is a Store that keeps entries of a state before those that are being undone.
type rest struct {
	File
	device Device
	state  *State
	from   int
}

func (r rest) Save(s *State) error { return r.File.Save(r.state) }

func (r rest) Remove() error {
	r.state.Entries = r.state.Entries[:r.from]
	for _, e := range r.state.Entries {
		if got, err := r.device.Get(e.Key); err == nil && e.touched() {
			e.Got = got
		}
	}
	if r.state.Changed() {
		return r.File.Save(r.state)
	}
	return r.File.Remove()
}

func (s *Session) newState() *State {
	d := s.Iface.dev
	return &State{Kind: s.kind(), Interface: s.name, Index: d.Index, Namespace: d.Namespace, Cookie: d.Cookie, Boot: BootID(), Owner: Self()}
}

func (s *Session) kind() string { kind, _, _ := strings.Cut(s.File.Name, "-"); return kind }

// Undo puts back what Apply changed. What somebody else has changed since is left to him: see Result.
func (s *Session) Undo() (Result, error) {
	if s.state == nil || !s.state.Changed() {
		return Result{}, nil
	}
	unlock, err := s.File.Lock()
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	r, err := Undo(s.Iface, s.File, s.state, false)
	if err == nil && len(r.Left) > 0 {
		err = s.File.Remove() // he who changed them while we ran has them now
	}
	return r, err
}

// Close closes the interface; settings stay as they are.
func (s *Session) Close() error { return s.Iface.Close() }
