package sys

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// PollFds is what a queue waits on: made once, so that waiting allocates nothing.
type PollFds []unix.PollFd

// NewPollFds waits for readability of each descriptor.
func NewPollFds(fds ...int) PollFds {
	p := make(PollFds, len(fds))
	for i, fd := range fds {
		p[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	return p
}

// Ready reports whether the last Wait found descriptor i readable or in error.
func (p PollFds) Ready(i int) bool { return p[i].Revents != 0 }

// Failed reports whether the last Wait found an error condition on descriptor i.
func (p PollFds) Failed(i int) bool {
	return p[i].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0
}

// Wait blocks until one is ready or the time is over. An interruption by a signal counts as the time being over.
func (p PollFds) Wait(timeout time.Duration) (int, error) {
	ts := unix.NsecToTimespec(int64(timeout))
	return p.interrupted(unix.Ppoll(p, &ts, nil))
}

func (p PollFds) interrupted(n int, err error) (int, error) {
	if err == unix.EINTR {
		for i := range p { // the kernel has left the answers of the last call in place
			p[i].Revents = 0
		}
		return 0, nil
	}
	return n, err
}

// Event is an eventfd: one goroutine wakes another out of Wait.
type Event int

// NewEvent opens an eventfd, close-on-exec and non-blocking.
func NewEvent() (Event, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	return Event(fd), err
}

var one = binary.NativeEndian.AppendUint64(nil, 1)

// Signal makes the event readable.
func (e Event) Signal() { unix.Write(int(e), one) }

// Clear makes it unreadable again.
func (e Event) Clear() {
	var b [8]byte
	unix.Read(int(e), b[:])
}

// Close closes the eventfd.
func (e Event) Close() error { return unix.Close(int(e)) }

// Pause waits a moment without looking at the first n descriptors: for sockets that report an error without end
// (ENETDOWN). It allocates nothing.
func (p PollFds) Pause(n int) {
	for i := range p[:n] {
		p[i].Fd = ^p[i].Fd // negative: ignored by poll(2)
	}
	p.Wait(10 * time.Millisecond)
	for i := range p[:n] {
		p[i].Fd, p[i].Revents = ^p[i].Fd, 0
	}
}

// Sleep blocks the thread for d, more precisely than the runtime's timers: no other thread is involved. How precisely
// is up to the thread's timer slack; see SetTimerSlack.
func Sleep(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	unix.Nanosleep(&ts, nil) // cut short by a signal: as good
}

// SetTimerSlack says how late the calling thread's timers may be (prctl(2), PR_SET_TIMERSLACK; 50 us by default).
func SetTimerSlack(d time.Duration) error {
	return unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(d), 0, 0, 0)
}
