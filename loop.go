package xrx

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"xrx/internal/sys"
)

// run is the life of a queue's goroutine between registration and the last delivery: poll while there is work, sleep
// while there is none, until stop is closed. It owns its thread, so that pinning and accounting mean something.
func (q *Queue) run(c Consumer, stop <-chan struct{}) (err error) {
	runtime.LockOSThread()
	defer func() {
		if q.cpu < 0 { // a pinned thread dies with its goroutine: nobody inherits its affinity
			runtime.UnlockOSThread()
		}
	}()
	if q.cpu >= 0 {
		if err := sys.Pin(q.cpu); err != nil {
			return fmt.Errorf("xrx: pin queue %d to processor %d: %w (see: nproc, taskset -p)", q.id, q.cpu, err)
		}
	}
	sys.SetTimerSlack(time.Microsecond) // refused: sleeps get 50 us longer, no more
	switch c := c.(type) {
	case Handler:
		q.handle, q.batch = c, nil
	case BatchHandler:
		q.handle, q.batch = nil, c
	}
	q.mail.open()
	defer q.mail.shut(q)

	if err := q.receiver.prog.Register(q.id, q.sock.FD()); err != nil {
		return err
	}
	q.registered.Store(true)
	for idle := 0; ; {
		n := q.Poll(q.cfg.Budget)
		if q.mail.waiting() {
			q.mail.serve(q)
		}
		select {
		case <-stop:
			return q.drain()
		default:
		}
		switch n {
		case q.cfg.Budget: // more may wait: poll again at once
			idle = 0
			continue
		case 0:
			idle++
		default:
			idle = 0
		}
		if err := q.rest(idle); err != nil {
			return errors.Join(err, q.drain())
		}
	}
}

// rest waits for packets. Waiting in poll(2) also tells the driver about new frames (xsk_poll wakes it); a queue that
// never waits there, or only sleeps, has to say it.
func (q *Queue) rest(idle int) error {
	if q.cfg.Busy {
		if q.driven || q.fill.NeedWakeup() {
			q.n.wakeups++
			return q.wake()
		}
		return nil
	}
	q.n.sleeps++
	patience := q.patience()
	if d := min(patience, q.gather.sleep(now(), q.n.packets)); d > 0 {
		if q.fill.NeedWakeup() {
			q.n.wakeups++
			if err := q.wake(); err != nil {
				return err
			}
		}
		sys.Sleep(d)
		return nil
	}
	n, err := q.fds.Wait(patience)
	if err != nil {
		return fmt.Errorf("xrx: poll queue %d: %w", q.id, err)
	}
	if q.fds.Ready(1) {
		q.event.Clear()
	}
	if q.fds.Failed(0) || (n == 0 && idle > 1) {
		return q.wake() // a silent socket may be one whose interface has gone: it says so when asked
	}
	return nil
}

// patience is how long to sleep: until GRO must flush, at most the poll timeout.
func (q *Queue) patience() time.Duration {
	if q.gro != nil {
		if at, ok := q.gro.NextDeadline(); ok {
			return min(q.cfg.PollTimeout, max(0, time.Duration(at-now())))
		}
	}
	return q.cfg.PollTimeout
}

// wake enters the kernel for the driver's sake, and learns whether the interface is still there.
func (q *Queue) wake() error {
	switch err := q.sock.WakeRx(); {
	case err == nil:
	case errors.Is(err, syscall.ENETDOWN):
		q.fds.Pause(0) // nothing to do: packets come again when it is up, without a new bind
	case errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		return fmt.Errorf("%w: %s", ErrDeleted, q.receiver.iface.Name)
	default:
		return fmt.Errorf("xrx: wake queue %d: %w", q.id, err)
	}
	return nil
}

// drainPause is longer than the NAPI poll that may still be delivering when a queue is taken out of the XSKMAP.
const drainPause = 5 * time.Millisecond

// drain is the orderly end: match no more, take what is still on the ring, flush GRO, hand over.
func (q *Queue) drain() error {
	err := q.receiver.prog.Unregister(q.id)
	q.registered.Store(false)
	for quiet := 0; quiet < 2; {
		if q.Poll(q.cfg.Budget) > 0 {
			quiet = 0
			continue
		}
		quiet++
		time.Sleep(drainPause)
	}
	if q.gro != nil {
		q.gro.ResetOut()
		q.gro.FlushAll()
		q.deliver(q.gro.Out())
	}
	if q.inChain { // its last buffer will not come
		q.cut = true
		q.assemble(nil, false)
	}
	q.pool.Reclaim()
	q.handle, q.batch = nil, nil
	return err
}

var start = time.Now()

// now is the receiver's clock in ns: monotonic, read once per poll and only where a hold timer needs it.
func now() int64 { return int64(time.Since(start)) }

func (q *Queue) now() int64 {
	if q.cfg.GRO.Flush == 0 {
		return 0
	}
	return now()
}
