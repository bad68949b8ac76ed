package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ifreqData is struct ifreq with its ifr_data member (include/uapi/linux/if.h at v6.18): 16 bytes of name, then a union
// of 24 bytes.
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// Ethtool carries out an ethtool command (include/uapi/linux/ethtool.h): command is the structure that begins with
// ETHTOOL_*, which the kernel reads and writes in place. It must be as long as the kernel takes it to be: a fixed part,
// and what its own size fields say. fd is any socket; its network namespace is where iface is.
func Ethtool(fd int, iface string, command []byte) error {
	if len(command) < 4 || len(iface) >= unix.IFNAMSIZ {
		return unix.EINVAL
	}
	req := ifreqData{data: unsafe.Pointer(unsafe.SliceData(command))}
	copy(req.name[:], iface)
	// Safety: req and command outlive the call, which reads and writes both; what req points to is kept alive, and
	// unmoved, by escaping to the heap as part of an argument of Syscall.
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	if errno != 0 {
		return errno
	}
	return nil
}
