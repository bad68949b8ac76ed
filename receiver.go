package xrx

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"xrx/internal/netdev"
	"xrx/internal/tune"
	"xrx/match"
	"xrx/privsep"
	"xrx/umem"
)

// ErrDeleted is returned by Run when the interface was deleted, or moved to another network namespace.
var ErrDeleted = errors.New("xrx: the interface was deleted")

// ErrLifeline is returned by Open, and by SetMatch, when taking all traffic would cut the machine off. Config.TakeAll
// overrides it; Match together with KeepManagement makes it unnecessary.
var ErrLifeline = errors.New("refusing to take all of its traffic")

// Receiver receives from one interface. Open it, Run it (once or several times), Close it.
type Receiver struct {
	iface   netdev.Info
	cfg     Config
	mode    Mode
	prog    program
	link    attachment
	grant   *privsep.Grant // nil: without a helper
	watch   *netdev.Watch
	tuned   *tune.Session // nil: no setting was changed
	mem     *umem.Umem    // of all queues together, with SharedUmem
	queues  []*Queue      // in the order of their numbers
	pollers []*poller
	follow  follower // what happens to the interface
	pair    *pairing // with the interface that packets are forwarded to; nil: they are not

	panics   panicLog
	muxes    []*Mux // that were its consumers
	seed     uint64 // of the flow hash
	lifeline string // why packets must be taken with care here; "" if they needn't

	mu       sync.Mutex
	running  bool
	closed   bool
	matching *match.Expr // in force
}

// Run receives until ctx is done (it then returns nil), the interface is deleted (ErrDeleted), or a queue fails. It
// takes the interface's traffic when it starts and gives it back before it returns; everything received by then has
// been handed to c, and what c still holds stays valid. A panic of c's costs the packet that it was given, and is
// counted (Panics, and Snapshot); with Config.PanicFatal it ends Run, which returns a *PanicError. With
// Config.Workers Run waits up to CloseTimeout for c to be done with the backlogs, and returns a *StalledError if it is not.
func (r *Receiver) Run(ctx context.Context, c Consumer) error {
	if c == nil {
		return errors.New("xrx: Run needs a Handler, a BatchHandler or a Mux")
	}
	m, isMux := c.(*Mux)
	if isMux {
		if err := m.use(); err != nil {
			return err
		}
	}
	r.mu.Lock()
	if r.closed || r.running {
		r.mu.Unlock()
		return errors.New("xrx: Run on a receiver that is running or closed")
	}
	r.running = true
	if isMux && !slices.Contains(r.muxes, m) {
		r.muxes = append(r.muxes, m)
	}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.running = false
		r.mu.Unlock()
	}()

	var workers *staff
	if r.cfg.Workers > 0 {
		workers = r.hire(c)
	}
	stop := make(chan struct{})
	ended := make(chan error, len(r.pollers))
	for _, p := range r.pollers {
		go p.live(c, stop, ended)
	}
	left, err := r.wait(ctx, ended, workers)
	close(stop)
	for _, p := range r.pollers {
		p.event.Signal()
	}
	errs := []error{err}
	for ; left > 0; left-- {
		errs = append(errs, <-ended)
	}
	if workers != nil {
		errs = append(errs, workers.dismiss(r.cfg.CloseTimeout))
	}
	r.lookForTruncated(time.Now()) // of a run that was short
	return joinOnce(errs)
}

// wait returns when it is time to stop, with the reason and the number of pollers that still run.
func (r *Receiver) wait(ctx context.Context, ended <-chan error, w *staff) (left int, err error) {
	look := time.NewTicker(lookTime)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return len(r.pollers), nil
		case err := <-ended:
			return len(r.pollers) - 1, err
		case <-w.failed():
			return len(r.pollers), nil // dismiss says why
		case at := <-look.C:
			r.lookForTruncated(at)
		case e := <-r.watch.C:
			if err := r.event(e); err != nil {
				return len(r.pollers), err
			}
		}
	}
}

// joinOnce joins errors, saying each thing once: every queue finds out by itself that the interface has gone.
func joinOnce(errs []error) error {
	var out []error
	for _, e := range errs {
		if e != nil && !slices.ContainsFunc(out, func(o error) bool { return o.Error() == e.Error() }) {
			out = append(out, e)
		}
	}
	if len(out) == 1 {
		return out[0]
	}
	return errors.Join(out...)
}

// Mode returns what was negotiated.
func (r *Receiver) Mode() Mode { return r.mode }
