// Package tune changes settings of an interface and puts them back: on exit, and after a crash.
//
// Before anything is changed, the old value of every setting is on disk (Store); each change is announced there before
// it is made and read back afterwards, because drivers round. So whatever moment a process is killed at, Undo finds out
// from the file what it had changed. A setting that has another value than the one that was written belongs, since
// then, to somebody else: Undo leaves it alone unless forced.
//
// Apply and Undo know settings by key and value, both text; Device knows what they mean. The keys of a network interface
// are those of Interface.
package tune

import "errors"

// Device reads and writes settings.
type Device interface {
	Get(key string) (string, error)
	Set(key, value string) error
}

// ErrGone is what a Device says of a setting that went with its owner, as the interface or a queue's NAPI: there is
// nothing left to put back.
var ErrGone = errors.New("it is gone")

// Change is a setting and the value that it shall have. Without one it is watched only: a setting that a driver may
// change along with others, and that is put back with them.
type Change struct{ Key, Value string }
