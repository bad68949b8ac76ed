package sys

import (
	"time"

	"golang.org/x/sys/unix"
)

// Usage is processor time spent.
type Usage struct{ User, Sys time.Duration }

// Sub returns u - v.
func (u Usage) Sub(v Usage) Usage { return Usage{u.User - v.User, u.Sys - v.Sys} }

// Add returns u + v.
func (u Usage) Add(v Usage) Usage { return Usage{u.User + v.User, u.Sys + v.Sys} }

// Total returns user plus system time.
func (u Usage) Total() time.Duration { return u.User + u.Sys }

// ProcessUsage returns the processor time of the whole process: getrusage(RUSAGE_SELF).
func ProcessUsage() Usage { return usage(unix.RUSAGE_SELF) }

// ThreadUsage returns the processor time of the calling thread: getrusage(RUSAGE_THREAD).
func ThreadUsage() Usage { return usage(unix.RUSAGE_THREAD) }

func usage(who int) Usage {
	var r unix.Rusage
	if unix.Getrusage(who, &r) != nil {
		return Usage{}
	}
	return Usage{time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())}
}

// Pin binds the calling thread to one processor. Lock the goroutine to its thread first.
func Pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(0, &set)
}

// Thread returns the id of the calling thread.
func Thread() int { return unix.Gettid() }

// turn is the least time slice that a thread can ask for.
const turn = 100 * time.Microsecond

// ShortTurns asks for turns of 100 us on the processor instead of some 3 ms, of which the thread gets as many more: it then
// runs before others' long turns end (Documentation/scheduler/sched-eevdf.rst; Linux 6.12, older ones take it and do
// nothing). It needs no privilege. undo sets what was set before; a thread with another policy than the normal one, and one
// that may not ask, is left as it is.
func ShortTurns() (undo func()) {
	was, err := unix.SchedGetAttr(0, 0)
	if err != nil || was.Policy != unix.SCHED_NORMAL && was.Policy != unix.SCHED_BATCH {
		return func() {}
	}
	short := *was
	short.Runtime = uint64(turn)
	if unix.SchedSetAttr(0, &short, 0) != nil {
		return func() {}
	}
	return func() { unix.SchedSetAttr(0, was, 0) }
}
