package sys

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// System calls that block, made without telling the Go runtime: the goroutine keeps its seat (its P) meanwhile, as if
// it were computing.
//
// The normal way costs more than the call where a thread sleeps for 150 us at a time, thousands of times a second: from
// Go 1.26 on, the runtime's monitor takes the seat away from a goroutine that has been on its thread for 10 ms and is
// found in a system call, and stays awake for that, every 20 us (runtime/proc.go, retake, at go1.26). Who keeps the seat
// must leave others theirs, and must not block for long. The runtime can still interrupt: its signal (SIGURG, for a stop
// of the world or a turn of another goroutine) ends either call with EINTR.

// SleepSeated is Sleep without giving up the goroutine's seat.
func SleepSeated(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	// Safety: ts lives on this goroutine's stack, which does not move while it is in the call.
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// WaitSeated is Wait without giving up the goroutine's seat.
func (p PollFds) WaitSeated(timeout time.Duration) (int, error) {
	ts := unix.NsecToTimespec(int64(timeout))
	// Safety: as for SleepSeated; p outlives the call, and the kernel writes len(p) entries at most.
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if errno != 0 {
		return p.interrupted(-1, errno)
	}
	return int(n), nil
}
