package vethnet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const netnsDir = "/run/netns" // where ip-netns(8) keeps named namespaces

// Namespace is one network namespace, kept alive by a file descriptor.
type Namespace struct {
	handle netns.NsHandle
	name   string // under netnsDir; empty when anonymous
}

// NewNamespace creates an empty network namespace; a name binds it under
// /run/netns as "ip netns add" does. The caller closes it.
func NewNamespace(name string) (*Namespace, error) {
	n := &Namespace{handle: netns.None()}
	err := onThread(func() error {
		handle, err := netns.New()
		if err != nil {
			return err
		}
		n.handle = handle
		if name == "" {
			return nil
		}
		if err := bindName(name); err != nil {
			return err
		}
		n.name = name
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create network namespace: %w", explain(err)), n.Close())
	}
	return n, nil
}

// bindName makes the calling thread's namespace visible as netnsDir/name.
func bindName(name string) error {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(netnsDir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	self := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
	if err := unix.Mount(self, path, "", unix.MS_BIND, ""); err != nil {
		return errors.Join(fmt.Errorf("bind %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// FD returns the descriptor of the namespace; it stays owned by n.
func (n *Namespace) FD() int { return int(n.handle) }

// Name returns the name under /run/netns, empty for an anonymous namespace.
func (n *Namespace) Name() string { return n.name }

// Do runs f on the calling goroutine with its thread moved into the namespace,
// and moves it back. Sockets opened and processes started by f belong to the
// namespace; goroutines started by f run outside it. Do may be nested.
func (n *Namespace) Do(f func() error) (err error) {
	runtime.LockOSThread()
	back, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("current network namespace: %w", err)
	}
	if err := netns.Set(n.handle); err != nil {
		runtime.UnlockOSThread()
		return errors.Join(fmt.Errorf("enter network namespace: %w", explain(err)), back.Close())
	}
	defer func() {
		restored := netns.Set(back)
		closed := back.Close()
		if restored != nil {
			// The thread stays locked: it dies with this goroutine
			// and never runs another one in the wrong namespace.
			err = errors.Join(err, fmt.Errorf("leave network namespace: %w", restored))
			return
		}
		runtime.UnlockOSThread()
		err = errors.Join(err, closed)
	}()
	return f()
}

// Close removes the name and drops the reference. Interfaces inside go when
// nothing else (a process, a socket) refers to the namespace. Idempotent.
func (n *Namespace) Close() error {
	var errs []error
	if n.name != "" {
		errs = append(errs, netns.DeleteNamed(n.name))
		n.name = ""
	}
	if n.handle.IsOpen() {
		errs = append(errs, n.handle.Close())
	}
	return errors.Join(errs...)
}

// onThread runs f on a thread of its own, which is then destroyed: whatever f
// did to the thread's namespaces affects nobody else.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime kills the thread
		done <- f()
	}()
	return <-done
}

// explain adds what to try to the errors a user can do something about.
func explain(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w (needs root, or CAP_SYS_ADMIN and CAP_NET_ADMIN)", err)
	}
	return err
}
