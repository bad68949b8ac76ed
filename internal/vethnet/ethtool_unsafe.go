package vethnet

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolValue is struct ethtool_value (include/uapi/linux/ethtool.h, v6.18).
type ethtoolValue struct {
	cmd  uint32
	data uint32
}

// ifreqData is struct ifreq with its ifr_data member
// (include/uapi/linux/if.h, v6.18): 16 bytes of name, then a 24-byte union.
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// setOffload switches an offload of an interface in the calling thread's
// network namespace.
func setOffload(iface string, o Offload, on bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket for ethtool: %w", err)
	}
	defer unix.Close(fd)
	value := ethtoolValue{cmd: uint32(o)}
	if on {
		value.data = 1
	}
	req := ifreqData{data: unsafe.Pointer(&value)}
	copy(req.name[:unix.IFNAMSIZ-1], iface)
	// Safety: req and value outlive the call, which both reads and writes
	// them; the pointer inside req keeps value alive and unmoved, because
	// a pointer reachable from an argument of Syscall escapes to the heap.
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	if errno != 0 {
		return fmt.Errorf("ethtool: set %s of %s: %w", o, iface, explain(errno))
	}
	return nil
}
