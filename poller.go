package xrx

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"xrx/internal/stage"
	"xrx/internal/sys"
)

// poller is one goroutine on a thread of its own, and the queues that it polls: one each, unless Config.Threads says
// that fewer threads share all queues. Nobody else touches what those queues own.
type poller struct {
	cfg    *Config
	queues []*Queue
	cpu    int         // -1: not pinned
	mail   mailbox     // questions from other goroutines
	event  sys.Event   // wakes the thread out of its sleep; -1: none
	fds    sys.PollFds // the queues' sockets, in their order, and the event
	gather gatherer
	stays  bool // keeps its seat in Go's scheduler while it sleeps: see seat.go
}

// openPollers deals the queues to goroutines, in turn.
func (r *Receiver) openPollers() error {
	threads := len(r.queues)
	if r.cfg.Threads > 0 {
		threads = min(threads, r.cfg.Threads)
	}
	for n := range threads {
		p := &poller{cfg: &r.cfg, cpu: -1, event: -1}
		if len(r.cfg.CPUs) > 0 {
			p.cpu = r.cfg.CPUs[n%len(r.cfg.CPUs)]
		}
		for i := n; i < len(r.queues); i += threads {
			p.adopt(r.queues[i])
		}
		r.pollers = append(r.pollers, p)
		if err := p.open(); err != nil {
			return fmt.Errorf("xrx: eventfd: %w", err)
		}
	}
	return nil
}

func (p *poller) adopt(q *Queue) {
	q.poller, p.queues = p, append(p.queues, q)
}

func (p *poller) open() (err error) {
	if p.event, err = sys.NewEvent(); err != nil {
		p.event = -1
		return err
	}
	fds := make([]int, 0, len(p.queues)+1)
	for _, q := range p.queues {
		fds = append(fds, q.sock.FD())
	}
	p.fds = sys.NewPollFds(append(fds, int(p.event))...)
	// All of what gathers may be one queue's: its rings are the room there is.
	room := min(p.queues[0].fill.Want(), p.cfg.RxSize) / 2
	p.gather = newGatherer(p.cfg.Gather, room)
	return nil
}

func (p *poller) close() error {
	if p.event < 0 {
		return nil
	}
	err := p.event.Close()
	p.event = -1
	return err
}

// live runs the poller, and tells how that ended. A consumer that ends the goroutine (runtime.Goexit) takes it from under
// the poller: another one then puts things in order.
func (p *poller) live(c Consumer, stop <-chan struct{}, ended chan<- error) {
	var err error
	returned := false
	for _, q := range p.queues {
		q.guard.failed = nil // in an earlier run
	}
	defer func() {
		if returned {
			ended <- err
			return
		}
		go func() {
			p.mail.open()
			for _, q := range p.queues {
				q.handle, q.batch = nil, nil // it would end this goroutine too
			}
			err := p.drain()
			p.mail.shut()
			ended <- p.failure(err)
		}()
	}()
	err = p.failure(p.run(c, stop))
	returned = true
}

// failure adds to err what consumers of the queues failed with.
func (p *poller) failure(err error) error {
	var errs []error
	for _, q := range p.queues {
		errs = append(errs, q.guard.err())
	}
	return joinOnce(append(errs, err))
}

// failed reports whether the consumer of a queue has failed.
func (p *poller) failed() bool {
	for _, q := range p.queues {
		if q.guard.failed != nil {
			return true
		}
	}
	return false
}

// run is the life of a poller between registration of its queues and the last delivery: poll while there is work, sleep
// while there is none, until stop is closed. It owns its thread, so that pinning and accounting mean something.
func (p *poller) run(c Consumer, stop <-chan struct{}) error {
	runtime.LockOSThread()
	defer func() {
		if p.cpu < 0 { // a pinned thread dies with its goroutine: nobody inherits its affinity
			runtime.UnlockOSThread()
		}
	}()
	if p.cpu >= 0 {
		if err := sys.Pin(p.cpu); err != nil {
			return fmt.Errorf("xrx: pin %v to processor %d: %w (see: nproc, taskset -p)", p, p.cpu, err)
		}
	}
	p.takeSeat()
	defer p.leaveSeat()
	sys.SetTimerSlack(time.Microsecond) // refused: sleeps get 50 us longer, no more
	defer sys.ShortTurns()()            // others' turns on this processor end sooner (docs/adr/0024)
	stage.At("thread")
	p.mail.open() // before the queues change: until then whoever asks reads them himself
	defer p.mail.shut()
	for _, q := range p.queues {
		q.serve(c)
	}

	for _, q := range p.queues {
		if err := q.register(); err != nil {
			return errors.Join(err, p.drain())
		}
	}
	stage.At("registered")
	for idle := 0; ; {
		n, more := p.round()
		if p.mail.waiting() {
			p.mail.serve()
		}
		select {
		case <-stop:
			return p.drain()
		default:
		}
		if p.failed() {
			return p.drain()
		}
		if idle++; n > 0 {
			idle = 0
		}
		if more {
			continue
		}
		if err := p.rest(idle); err != nil {
			return errors.Join(err, p.drain())
		}
	}
}

// round polls every queue once, each with the same budget, so that none waits for longer than the others' budgets take.
// It returns how many packets there were, and whether a budget was used up: then more may wait.
func (p *poller) round() (n int, more bool) {
	budget := p.cfg.Budget
	for _, q := range p.queues {
		k := q.Poll(budget)
		n += k
		more = more || k == budget
	}
	return n, more
}

// packets is what the poller's queues have received.
func (p *poller) packets() (n uint64) {
	for _, q := range p.queues {
		n += q.n.packets
	}
	return n
}

// drainPause is longer than the NAPI poll that may still be delivering when a queue is taken out of the XSKMAP.
const drainPause = 5 * time.Millisecond

// drain is the orderly end: match no more, take what is still on the rings, flush GRO, hand over.
func (p *poller) drain() error {
	stage.At("told to stop")
	var errs []error
	for _, q := range p.queues {
		errs = append(errs, q.unregister())
	}
	stage.At("unregistered")
	for quiet := 0; quiet < 2; {
		if n, _ := p.round(); n > 0 {
			quiet = 0
			continue
		}
		quiet++
		time.Sleep(drainPause)
	}
	stage.At("drained")
	for _, q := range p.queues {
		q.flush()
	}
	return errors.Join(errs...)
}

func (p *poller) String() string {
	ids := make([]string, len(p.queues))
	for i, q := range p.queues {
		ids[i] = fmt.Sprint(q.id)
	}
	if len(ids) == 1 {
		return "queue " + ids[0]
	}
	return "queues " + strings.Join(ids, ", ")
}
