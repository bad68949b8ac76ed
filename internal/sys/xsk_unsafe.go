package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// XDP option values of include/uapi/linux/if_xdp.h, under the names that the rest of xrx uses.
const (
	XDPSharedUmem    = unix.XDP_SHARED_UMEM
	XDPCopy          = unix.XDP_COPY
	XDPZeroCopy      = unix.XDP_ZEROCOPY
	XDPUseNeedWakeup = unix.XDP_USE_NEED_WAKEUP
	XDPUseSG         = unix.XDP_USE_SG
	XDPPktContd      = unix.XDP_PKT_CONTD
	XDPUnaligned     = unix.XDP_UMEM_UNALIGNED_CHUNK_FLAG

	OptRxRing         = unix.XDP_RX_RING
	OptTxRing         = unix.XDP_TX_RING
	OptFillRing       = unix.XDP_UMEM_FILL_RING
	OptCompletionRing = unix.XDP_UMEM_COMPLETION_RING

	OffRxRing         = unix.XDP_PGOFF_RX_RING
	OffTxRing         = unix.XDP_PGOFF_TX_RING
	OffFillRing       = unix.XDP_UMEM_PGOFF_FILL_RING
	OffCompletionRing = unix.XDP_UMEM_PGOFF_COMPLETION_RING
)

// Structures of include/uapi/linux/if_xdp.h.
type (
	XDPDesc        = unix.XDPDesc
	XDPMmapOffsets = unix.XDPMmapOffsets
	XDPRingOffset  = unix.XDPRingOffset
	XDPStatistics  = unix.XDPStatistics
	XDPUmemReg     = unix.XDPUmemReg
)

// XSKSocket opens an AF_XDP socket, close-on-exec.
func XSKSocket() (int, error) {
	return unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
}

// XSKRegister registers memory as the socket's UMEM (XDP_UMEM_REG). The structure is fully zeroed and exactly sized:
// the kernel reads what it was given as flags.
func XSKRegister(fd int, mem []byte, chunk, headroom int, flags uint32) error {
	reg := XDPUmemReg{
		// Safety: the kernel pins the pages during the call and keeps its own reference to them.
		Addr:     uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))),
		Len:      uint64(len(mem)),
		Size:     uint32(chunk),
		Headroom: uint32(headroom),
		Flags:    flags,
	}
	return setsockopt(fd, unix.XDP_UMEM_REG, unsafe.Pointer(&reg), unsafe.Sizeof(reg))
}

// XSKRing sets a ring's size; opt is one of the Opt constants.
func XSKRing(fd, opt, size int) error { return unix.SetsockoptInt(fd, unix.SOL_XDP, opt, size) }

// XSKOffsets asks where the indices lie in each mapped ring.
func XSKOffsets(fd int) (o XDPMmapOffsets, err error) {
	err = getsockopt(fd, unix.XDP_MMAP_OFFSETS, unsafe.Pointer(&o), unsafe.Sizeof(o))
	return o, err
}

// XSKStatistics reads XDP_STATISTICS.
func XSKStatistics(fd int) (s XDPStatistics, err error) {
	err = getsockopt(fd, unix.XDP_STATISTICS, unsafe.Pointer(&s), unsafe.Sizeof(s))
	return s, err
}

// XSKZeroCopy reads XDP_OPTIONS back: whether the bound socket really does zero-copy.
func XSKZeroCopy(fd int) (bool, error) {
	var opts uint32
	err := getsockopt(fd, unix.XDP_OPTIONS, unsafe.Pointer(&opts), unsafe.Sizeof(opts))
	return opts&unix.XDP_OPTIONS_ZEROCOPY != 0, err
}

// XSKBind binds the socket to a queue of an interface. shared is the descriptor of the socket whose UMEM it shares.
func XSKBind(fd, ifindex, queue int, flags uint16, shared int) error {
	return unix.Bind(fd, &unix.SockaddrXDP{Flags: flags, Ifindex: uint32(ifindex), QueueID: uint32(queue), SharedUmemFD: uint32(shared)})
}

// XSKMap maps a ring; off is one of the Off constants.
func XSKMap(fd int, off int64, size int) ([]byte, error) {
	return unix.Mmap(fd, off, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
}

// XSKWakeRx enters the kernel so that the driver looks at the fill ring (net/xdp/xsk.c, xsk_recvmsg). It never blocks.
// A raw system call: it is short, and the scheduler need not know.
func XSKWakeRx(fd int) error {
	_, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	if e == 0 || e == unix.EAGAIN || e == unix.EBUSY {
		return nil
	}
	return e
}

// XSKWakeTx enters the kernel so that it sends what is on the tx ring (xsk_sendmsg). It never blocks.
func XSKWakeTx(fd int) error {
	_, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	if e == 0 || e == unix.EAGAIN || e == unix.EBUSY || e == unix.ENOBUFS {
		return nil
	}
	return e
}

// XSKSend is XSKWakeTx with the errno that the kernel gave, EAGAIN and EBUSY included: in copy mode they say what became
// of the packets.
func XSKSend(fd int) error {
	if _, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0); e != 0 {
		return e
	}
	return nil
}

// SendBuffer sets how many bytes of memory the socket's packets may take on their way out (SO_SNDBUF), beyond
// net.core.wmem_max where CAP_NET_ADMIN allows it.
func SendBuffer(fd, bytes int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, bytes) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, bytes)
}

// BusyPoll asks for busy polling on the socket: the preference, how long (microseconds), and the budget per call.
func BusyPoll(fd, us, budget int) error {
	for _, o := range [][2]int{{unix.SO_PREFER_BUSY_POLL, 1}, {unix.SO_BUSY_POLL, us}, {unix.SO_BUSY_POLL_BUDGET, budget}} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o[0], o[1]); err != nil {
			return err
		}
	}
	return nil
}

// SocketError reads and clears SO_ERROR.
func SocketError(fd int) error {
	e, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if e != 0 {
		return unix.Errno(e)
	}
	return nil
}

func setsockopt(fd, opt int, p unsafe.Pointer, n uintptr) error {
	// Safety: p points to a live structure of n bytes in the caller's frame.
	if _, _, e := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(opt), uintptr(p), n, 0); e != 0 {
		return e
	}
	return nil
}

func getsockopt(fd, opt int, p unsafe.Pointer, n uintptr) error {
	l := uint32(n)
	// Safety: as for setsockopt; the kernel writes at most l bytes.
	if _, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(opt), uintptr(p), uintptr(unsafe.Pointer(&l)), 0); e != 0 {
		return e
	}
	return nil
}

// Close closes a descriptor.
func Close(fd int) error { return unix.Close(fd) }
