package tune

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// DefaultDir is where state files are: gone after a boot, as the settings are.
const DefaultDir = "/run/xrx"

// File is a Store: one file for an interface and a kind.
type File struct{ Dir, Name string }

// NewFile names the file of an interface: by the inode of its network namespace and its index, and its name for people.
func NewFile(dir, kind string, namespace uint64, index int, iface string) File {
	if dir == "" {
		dir = DefaultDir
	}
	return File{dir, fmt.Sprintf("%s-%d-%d-%s.json", kind, namespace, index, iface)}
}

// Path returns where it is.
func (f File) Path() string { return filepath.Join(f.Dir, f.Name) }

// Save writes the state beside the old one and renames it into place, each on disk before the next: after a crash the
// file is the old one or the new one (rename(2)).
func (f File) Save(s *State) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("state file %s, without which no setting is changed: %w", f.Path(), err)
		}
	}()
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(f.Dir, "."+f.Name+".")
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(text, '\n'))
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), f.Path())
	}
	if err != nil {
		os.Remove(tmp.Name())
		return err
	}
	return f.sync()
}

// Remove removes the file, if it is there.
func (f File) Remove() error {
	err := os.Remove(f.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	return f.sync()
}

func (f File) sync() error {
	d, err := os.Open(f.Dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Load reads the state, nil if there is none.
func (f File) Load() (*State, error) {
	text, err := os.ReadFile(f.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("state file: %w", err)
	}
	s := &State{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("state file %s is not one: %w; look at it, and remove it", f.Path(), err)
	}
	for _, e := range s.Entries {
		if e == nil || e.Key == "" {
			return nil, fmt.Errorf("state file %s has a setting without a name; look at it, and remove it", f.Path())
		}
	}
	return s, nil
}

// Lock keeps other processes of the directory out until unlock is called, or this process ends; the file itself can't be
// locked, it is replaced at each Save.
func (f File) Lock() (unlock func(), err error) {
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	d, err := os.Open(f.Dir)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	for {
		if err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Dir, err)
	}
	return func() { d.Close() }, nil
}
