package xrx

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"xrx/internal/sys"
)

// rest waits for packets of any of the poller's queues. Waiting in poll(2) also tells the driver about new frames
// (xsk_poll wakes it); who never waits there, or only sleeps, has to say it. What belongs to the thread is counted with
// its first queue.
func (p *poller) rest(idle int) error {
	for _, q := range p.queues {
		if q.tx != nil && q.tx.Err() != nil {
			return q.tx.failed()
		}
	}
	if p.cfg.Busy {
		return p.tell()
	}
	p.queues[0].n.sleeps++
	patience := p.patience()
	if d := min(patience, p.gather.sleep(now(), p.packets())); d > 0 {
		for _, q := range p.queues {
			q.fill.TopUp() // nobody refills for a while
		}
		if err := p.tell(); err != nil {
			return err
		}
		p.sleep(d)
		return nil
	}
	n, err := p.wait(idle, patience)
	if err != nil {
		return fmt.Errorf("xrx: poll %v: %w", p, err)
	}
	if p.fds.Ready(len(p.queues)) {
		p.event.Clear()
	}
	for i, q := range p.queues {
		if p.fds.Failed(i) || (n == 0 && idle > 1) { // a silent socket may be one whose interface has gone: it says so when asked
			if err := q.wake(); err != nil {
				return p.away(err)
			}
		}
	}
	return nil
}

// stayMost is how long a poller that keeps its seat may wait there: longer than the kernel's tick at HZ 250, so that the
// timeout does not have to be programmed into the processor's timer, which is dear in a VM.
const stayMost = 5 * time.Millisecond

// wait waits in poll(2). Right after packets more are likely soon; later the seat is given up.
func (p *poller) wait(idle int, patience time.Duration) (int, error) {
	if p.stays && idle <= 1 {
		return p.fds.WaitSeated(min(patience, stayMost))
	}
	return p.fds.Wait(patience)
}

// gathers is the longest sleep while packets come fast.
func (p *poller) gathers() time.Duration {
	if p.cfg.Busy {
		return 0
	}
	return p.gather.most
}

// sleep sleeps for d, and tells the gatherer what came of it.
func (p *poller) sleep(d time.Duration) {
	var before sys.Usage
	measures := p.gather.measures()
	if measures {
		before = sys.ThreadUsage()
	}
	asked := now()
	if p.stays {
		sys.SleepSeated(d)
	} else {
		sys.Sleep(d)
	}
	p.gather.woke(d, time.Duration(now()-asked))
	if measures {
		p.gather.slept(sys.ThreadUsage().Sub(before).Total())
	}
}

// tell wakes the drivers that wait to be told about new frames, or that work inside our system calls.
func (p *poller) tell() error {
	for _, q := range p.queues {
		if q.driven || q.fill.NeedWakeup() {
			q.n.wakeups++
			if err := q.wake(); err != nil {
				return p.away(err)
			}
		}
	}
	return nil
}

// away waits a moment where a queue could not be woken because the link is down: packets come again when it is up,
// without a new bind. Any other error is passed on.
func (p *poller) away(err error) error {
	if !errors.Is(err, syscall.ENETDOWN) {
		return err
	}
	p.fds.Pause(len(p.queues))
	return nil
}

// patience is how long to sleep: until GRO must flush, at most the poll timeout.
func (p *poller) patience() time.Duration {
	d := p.cfg.PollTimeout
	for _, q := range p.queues {
		if q.gro != nil {
			if at, ok := q.gro.NextDeadline(); ok {
				d = min(d, max(0, time.Duration(at-now())))
			}
		}
		if q.tx != nil && q.tx.Waits() {
			d = min(d, txRetry)
		}
	}
	return d
}

// wake enters the kernel for the driver's sake, and learns whether the interface is still there.
func (q *Queue) wake() error {
	switch err := q.sock.WakeRx(); {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		return fmt.Errorf("%w: %s", ErrDeleted, q.receiver.Interface())
	default:
		return fmt.Errorf("xrx: wake queue %d: %w", q.id, err)
	}
}
