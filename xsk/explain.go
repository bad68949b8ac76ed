package xsk

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"xrx/internal/sys"
)

// Error is a step that the kernel refused: the errno stays reachable with errors.Is, Why says what it means here and
// what to do.
type Error struct {
	Step string
	Err  error
	Why  string
}

func (e *Error) Error() string {
	if e.Why == "" {
		return fmt.Sprintf("xsk: %s: %v", e.Step, e.Err)
	}
	return fmt.Sprintf("xsk: %s: %v: %s", e.Step, e.Err, e.Why)
}

func (e *Error) Unwrap() error { return e.Err }

func (s *Socket) failed(step string, err error) error {
	if err == nil {
		return nil
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return &Error{step, err, ""}
	}
	return &Error{step, err, s.why(step, errno)}
}

// why puts an errno into words. Sources: net/xdp/xsk.c, xdp_umem.c, xsk_buff_pool.c (v6.18), and trying each.
func (s *Socket) why(step string, e syscall.Errno) string {
	isRing := strings.HasSuffix(step, "_RING") || strings.HasPrefix(step, "map the ")
	switch {
	case e == syscall.EPERM && step == "SO_PREFER_BUSY_POLL": // sk_setsockopt in net/core/sock.c at v6.18
		return "asking the driver to be polled takes CAP_NET_ADMIN"
	case e == syscall.EPERM:
		return "AF_XDP needs root or CAP_NET_RAW, the XDP program CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON" + sys.Lacking()
	case e == syscall.EAFNOSUPPORT:
		return "this kernel has no AF_XDP: it needs CONFIG_XDP_SOCKETS=y (Linux 4.18 or newer; xrx wants 5.9)"
	case step == "XDP_UMEM_REG" && e == syscall.ENOBUFS:
		return fmt.Sprintf("with this UMEM's %d MiB, those of this user are above the locked-memory limit: raise it (ulimit -l), have CAP_IPC_LOCK, or use fewer frames (--frames)%s", len(s.cfg.Umem.Memory())>>20, s.orHelper())
	case step == "XDP_UMEM_REG" && e == syscall.EINVAL:
		g := s.cfg.Umem.Config()
		return fmt.Sprintf("this kernel takes no chunks of %d bytes with headroom %d (chunks: 2048 up to the page size, in huge pages too, and a power of two where they are aligned; headroom up to chunk-256, where the kernel keeps room for skb_shared_info up to chunk-704)", g.ChunkSize, g.Headroom)
	case e == syscall.ENOMEM:
		return "the kernel is out of memory for rings or UMEM: use fewer frames or smaller rings"
	case isRing && e == syscall.EINVAL:
		return "rings have a power of two of descriptors"
	case isRing && e == syscall.EBUSY:
		return "the socket is bound, and rings are made and mapped before that"
	case strings.HasPrefix(step, "bind"):
		why := s.whyBind(e)
		if s.cfg.Share != nil && why != "" {
			why += "; queues that share a UMEM are all bound as the first one is: without --shared-umem each is by itself"
		}
		return why
	}
	return ""
}

// orHelper is what can be done besides where a helper gave the socket.
func (s *Socket) orHelper() string {
	if s.cfg.FD == 0 {
		return ""
	}
	return "; or have the helper raise the limit (xrx helper --memlock)"
}

func (s *Socket) whyBind(e syscall.Errno) string {
	switch e {
	case syscall.EINVAL:
		if s.cfg.SG {
			return fmt.Sprintf("queue %d is not below the interface's real number of rx queues (ethtool -l %s), or flags conflict, or this kernel has no packets over several frames (XDP_USE_SG, Linux 6.6): --sg off", s.cfg.Queue, s.cfg.Iface)
		}
		return fmt.Sprintf("queue %d is not below the interface's real number of rx queues (ethtool -l %s), or flags conflict", s.cfg.Queue, s.cfg.Iface)
	case syscall.EBADF:
		return "the socket whose UMEM is to be shared is not bound"
	case syscall.EBUSY:
		return fmt.Sprintf("another AF_XDP socket has this queue, also after %v of waiting: stop it, or choose other queues (--queues)", busyPatience)
	case syscall.EOPNOTSUPP:
		if s.cfg.SG {
			return "the driver has no zero-copy, or none with multi-buffer packets (XDP_USE_SG): --sg off, or --bind copy, which works with every driver"
		}
		return "the driver has no AF_XDP zero-copy for this queue; --bind copy works with every driver"
	case syscall.ENETDOWN:
		return "the interface is down: ip link set " + s.cfg.Iface + " up"
	case syscall.ENODEV, syscall.ENXIO:
		return "the interface is gone"
	}
	return ""
}
