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
	d := s.Iface.dev
	s.state = &State{Kind: s.kind(), Interface: s.name, Index: d.Index, Namespace: d.Namespace, Cookie: d.Cookie, Boot: BootID(), Owner: Self()}
	return s.state, Apply(s.Iface, s.File, s.state, changes)
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
