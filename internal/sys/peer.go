package sys

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Peer is the process at the other end of a unix socket, as it was when it connected (SO_PEERCRED in unix(7)).
type Peer struct{ PID, UID, GID int }

// PeerOf asks the kernel who is at the other end.
func PeerOf(c syscall.Conn) (p Peer, err error) {
	err = control(c, func(fd int) error {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			p = Peer{int(cred.Pid), int(cred.Uid), int(cred.Gid)}
		}
		return err
	})
	return p, err
}

// LockedMemory raises the peer's limit of locked memory (RLIMIT_MEMLOCK in getrlimit(2)) to bytes, if it is lower. It
// takes CAP_SYS_RESOURCE. The process is held by a descriptor, SO_PEERPIDFD of Linux 6.5, so that its number can't have become
// another's.
func LockedMemory(c syscall.Conn, pid int, bytes uint64) error {
	if pid <= 0 { // of another pid namespace; prlimit(2) would take it for the caller
		return errors.New("the process has no number here: it is of another pid namespace")
	}
	return control(c, func(fd int) error {
		pidfd, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
		if err != nil {
			return fmt.Errorf("SO_PEERPIDFD: %w", err)
		}
		defer unix.Close(pidfd)
		var was unix.Rlimit
		if err := unix.Prlimit(pid, unix.RLIMIT_MEMLOCK, nil, &was); err != nil {
			return fmt.Errorf("prlimit: %w", err)
		}
		// It lives after its limits were read: the number was its own all the time.
		if err := unix.PidfdSendSignal(pidfd, 0, nil, 0); err != nil {
			return err
		}
		if was.Cur >= bytes {
			return nil
		}
		if err := unix.Prlimit(pid, unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: bytes, Max: max(bytes, was.Max)}, nil); err != nil {
			return fmt.Errorf("prlimit: %w", err)
		}
		return nil
	})
}

// NamespaceCookie names the network namespace that a socket is of, for as long as the machine runs (SO_NETNS_COOKIE, Linux
// 5.14).
func NamespaceCookie(fd int) (uint64, error) {
	return unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
}

// NamespaceCookieOf is NamespaceCookie of a connection.
func NamespaceCookieOf(c syscall.Conn) (cookie uint64, err error) {
	err = control(c, func(fd int) (err error) {
		cookie, err = NamespaceCookie(fd)
		return err
	})
	return cookie, err
}

func control(c syscall.Conn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = f(int(fd)) })
	return errors.Join(err, inner)
}

// ErrUnconfined is what Confine returns where the kernel would let the socket be bound elsewhere all the same.
var ErrUnconfined = errors.New("this kernel binds AF_XDP sockets to any interface whatever SO_BINDTOIFINDEX says (Linux 6.5 does not)")

// Confine has the kernel refuse to bind an AF_XDP socket to another interface than this one (SO_BINDTOIFINDEX, which
// whoever lacks CAP_NET_RAW can't change again: sock_bindtoindex_locked in net/core/sock.c at v6.18). xsk_bind looks at
// that since 6.5 (net/xdp/xsk.c); whether it does is tried, with an interface that there can't be.
func Confine(fd, ifindex int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, ifindex); err != nil {
		return err
	}
	const none = 1<<31 - 1
	switch err := XSKBind(fd, none, 0, 0, 0); {
	case errors.Is(err, unix.EINVAL): // the check of the interface comes first
		return nil
	case err == nil, errors.Is(err, unix.ENODEV):
		return ErrUnconfined
	default:
		return err
	}
}
