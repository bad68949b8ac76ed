package afpacket

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr (sendmmsg(2)); its size is a multiple of that of
// msghdr's alignment, as in C.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // bytes sent or received
	_   [unsafe.Sizeof(uintptr(0)) - 4]byte
}

// sendVector is the argument of sendmmsg, kept between calls.
type sendVector struct {
	messages [Batch]mmsghdr
	vectors  [Batch]unix.Iovec
}

// send hands up to Batch frames to the kernel and returns how many it took.
// Every frame has at least one byte.
func (v *sendVector) send(fd int, frames [][]byte) (int, error) {
	if len(frames) == 0 {
		return 0, nil
	}
	for i, f := range frames {
		v.vectors[i].Base = &f[0]
		v.vectors[i].SetLen(len(f))
		v.messages[i].hdr.Iov = &v.vectors[i]
		v.messages[i].hdr.SetIovlen(1)
	}
	// Safety: the array outlives the call and len(frames) <= Batch of its
	// elements are filled in; frames keeps the bytes alive until KeepAlive.
	// The kernel reads the bytes and writes only the n fields.
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&v.messages[0])), uintptr(len(frames)), 0, 0, 0)
	runtime.KeepAlive(frames)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
