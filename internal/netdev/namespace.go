package netdev

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Namespace is the network namespace that a thread was in: interface indices and names mean something in there only.
type Namespace struct{ file *os.File }

const currentNamespace = "/proc/thread-self/ns/net"

// CurrentNamespace opens the calling thread's.
func CurrentNamespace() (*Namespace, error) {
	f, err := os.Open(currentNamespace)
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	return &Namespace{f}, nil
}

// Do runs f on a thread in the namespace. It needs CAP_SYS_ADMIN if the calling thread is in another one (setns(2)).
func (n *Namespace) Do(f func() error) (err error) {
	runtime.LockOSThread()
	own, err := os.Open(currentNamespace)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("network namespace: %w", err)
	}
	defer own.Close()
	if same(own, n.file) {
		defer runtime.UnlockOSThread()
		return f()
	}
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter the interface's network namespace: %w", err)
	}
	defer func() {
		if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); back != nil {
			err = errors.Join(err, fmt.Errorf("leave the interface's network namespace: %w", back))
			return // the thread stays locked, and ends with its goroutine: nobody else gets it
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

// Close gives it back. Closing nil is no error.
func (n *Namespace) Close() error {
	if n == nil {
		return nil
	}
	return n.file.Close()
}

// same reports whether two descriptors stand for one namespace (namespaces(7): by device and inode).
func same(a, b *os.File) bool {
	x, errX := a.Stat()
	y, errY := b.Stat()
	return errX == nil && errY == nil && os.SameFile(x, y)
}
