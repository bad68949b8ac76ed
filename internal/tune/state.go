package tune

import (
	"fmt"
	"slices"
)

// Phases of an entry. Whoever reads a state file after a crash trusts them: Writing is on disk before the device is
// asked, Written after.
const (
	Planned = "planned"  // not touched yet
	InForce = "in force" // had the value already; never touched
	Writing = "writing"  // being changed, or about to be, or watched: its value may be any
	Written = "written"  // changed, and read back
	Refused = "refused"  // not changed, Why says why
	Left    = "left"     // changed by somebody else since then, and not put back
	Undone  = "undone"
)

// Entry is one setting in a state.
type Entry struct {
	Key      string `json:"setting"`
	Wanted   string `json:"wanted,omitempty"` // "": watched only
	Original string `json:"original"`         // before anything was changed
	Before   string `json:"before"`           // right before this one was changed
	Got      string `json:"got,omitempty"`    // as read back: drivers round
	Phase    string `json:"phase"`
	Why      string `json:"why,omitempty"` // of Refused and Left
}

// touched reports whether the setting may differ from Original by our doing.
func (e *Entry) touched() bool { return e.Phase == Writing || e.Phase == Written }

// State is what has been changed on one interface, by whom. It is what a state file holds.
type State struct {
	Kind      string   `json:"kind"` // "run" or "steer": an interface may have a state of each
	Interface string   `json:"iface"`
	Index     int      `json:"ifindex"`
	Namespace uint64   `json:"netns"`        // inode of the network namespace
	Cookie    uint64   `json:"netns_cookie"` // never used twice between boots; 0: not known
	Boot      string   `json:"boot"`         // /proc/sys/kernel/random/boot_id
	Owner     Process  `json:"owner"`
	Entries   []*Entry `json:"settings"`
	Settled   bool     `json:"settled"`           // Apply came to its end: each Got is what the setting was then
	Undoing   bool     `json:"undoing,omitempty"` // Undo has begun: what is Left is decided
}

// InForce lists the entries whose setting has the wanted value, or what the driver made of it, by our doing or not.
func (s *State) InForce() (list []*Entry) {
	for _, e := range s.Entries {
		if e.Wanted != "" && (e.Phase == Written || e.Phase == InForce) {
			list = append(list, e)
		}
	}
	return list
}

// Refused lists what could not be had.
func (s *State) Refused() (list []*Entry) {
	for _, e := range s.Entries {
		if e.Phase == Refused {
			list = append(list, e)
		}
	}
	return list
}

// Changed reports whether there is anything to put back.
func (s *State) Changed() bool { return slices.ContainsFunc(s.Entries, (*Entry).touched) }

// Store keeps a state where the next process finds it.
type Store interface {
	Save(*State) error // complete or not at all, whatever happens meanwhile
	Remove() error
}

// String says what is in force: "rx-usecs 48 (asked for 50; was 16)".
func (e *Entry) String() string {
	if e.Phase == InForce {
		return fmt.Sprintf("%s %s (as it was)", e.Key, e.Wanted)
	}
	if e.Got != e.Wanted {
		return fmt.Sprintf("%s %s (asked for %s; was %s)", e.Key, e.Got, e.Wanted, e.Original)
	}
	return fmt.Sprintf("%s %s (was %s)", e.Key, e.Got, e.Original)
}
