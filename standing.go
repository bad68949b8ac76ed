package xrx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"xrx/internal/netdev"
	"xrx/internal/sys"
	"xrx/stats"
	"xrx/umem"
)

// Standing receives from whatever interface has a name: it waits while there is none, opens it when it comes, and opens it
// again when it was deleted and is back, or when it changed in a way that takes new sockets (more queues, an MTU beyond
// a frame). What it counts goes on through all that. Config.OnEvent is told Waiting and Opened.
type Standing struct {
	name      string
	namespace *netdev.Namespace
	counts    eventCounts // Waiting and Opened; a receiver counts its own

	mu      sync.Mutex
	cfg     Config
	running bool
	closed  bool
	r       *Receiver      // nil while there is none
	mode    Mode           // of the last one
	before  stats.Snapshot // what those that are closed have counted
	held    []*Receiver    // closed as far as they can be: consumers hold packets of theirs
}

// NewStanding checks the configuration; the interface of the calling thread's network namespace is Run's business.
func NewStanding(iface string, cfg *Config) (*Standing, error) {
	s := &Standing{name: iface}
	if cfg != nil {
		s.cfg = *cfg
	}
	check := s.cfg // Validate fills in defaults, some of which depend on the interface: they are Open's
	if err := check.Validate(); err != nil {
		return nil, err
	}
	var err error
	if s.namespace, err = netdev.CurrentNamespace(); err != nil {
		return nil, fmt.Errorf("xrx: %w", err)
	}
	return s, nil
}

// Run receives until ctx is done (it then returns nil) or something fails that a new interface of that name does not
// mend. It may be called again.
func (s *Standing) Run(ctx context.Context, c Consumer) error {
	s.mu.Lock()
	if s.running || s.closed {
		s.mu.Unlock()
		return errors.New("xrx: Run on a receiver that is running or closed")
	}
	s.running = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running = false
		s.mu.Unlock()
	}()
	for {
		r, err := s.open(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		err = r.Run(ctx, c)
		if !errors.Is(err, ErrDeleted) && !errors.Is(err, errReopen) {
			return err // it stays open: for another Run, and for Snapshot
		}
		s.mu.Lock()
		err = s.retire(0) // packets come in again sooner
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// triedAgain is the pause after an Open that failed because the interface came, went or was down just then.
const triedAgain = 100 * time.Millisecond

// open waits for the interface and opens it.
func (s *Standing) open(ctx context.Context) (*Receiver, error) {
	s.mu.Lock()
	r := s.r
	s.mu.Unlock()
	if r != nil {
		return r, nil
	}
	for waited := false; ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var index int
		err := s.namespace.Do(func() error {
			i, err := netdev.Get(s.name)
			if err != nil {
				return err
			}
			index = i.Index
			return s.openNow()
		})
		switch {
		case err == nil:
			s.mu.Lock()
			r, mode := s.r, s.mode
			s.mu.Unlock()
			s.tell(Opened, "open, "+mode.String())
			return r, nil
		case !s.passing(err, index):
			return nil, err
		}
		if !waited {
			s.tell(Waiting, fmt.Sprintf("waiting (%v)", err))
			waited = true
		}
		if err := s.namespace.Do(func() error { return netdev.Await(ctx, s.name) }); err != nil {
			return nil, err
		}
		if index != 0 { // it was there: what kept it from opening takes its time
			select {
			case <-ctx.Done():
			case <-time.After(triedAgain):
			}
		}
	}
}

// openNow makes the receiver the one that is asked from now on.
func (s *Standing) openNow() error {
	s.mu.Lock()
	cfg := s.cfg
	s.mu.Unlock()
	r, err := Open(s.name, &cfg)
	if err != nil {
		return err
	}
	r.follow.reopens = true
	s.mu.Lock()
	defer s.mu.Unlock()
	if cfg.Match != s.cfg.Match { // replaced meanwhile
		if err := r.SetMatch(s.cfg.Match); err != nil {
			return errors.Join(err, r.Close())
		}
	}
	s.r, s.mode = r, r.Mode()
	return nil
}

// passing reports whether an interface that comes, or comes up, mends the error: it is not there, is not the one with
// this index any more, or is down.
func (s *Standing) passing(err error, index int) bool {
	if errors.Is(err, netdev.ErrMissing) || errors.Is(err, syscall.ENETDOWN) {
		return true
	}
	same := false
	s.namespace.Do(func() error {
		i, err := netdev.Get(s.name)
		same = err == nil && i.Index == index
		return nil
	})
	return !same
}

// retire closes the receiver, if there is one, and keeps its counts. Packets that consumers hold after patience are no
// error: their memory stays.
func (s *Standing) retire(patience time.Duration) error {
	r := s.r
	if r == nil {
		return nil
	}
	final := r.Snapshot()
	r.cfg.CloseTimeout = patience
	err := r.Close()
	s.r, s.before = nil, final.Carry(s.before)
	for i := range s.before.Queues { // counts only: there are no rings and frames any more
		q := &s.before.Queues[i]
		q.FillLevel, q.FillSize, q.RxLevel, q.CPU, q.Ledger = 0, 0, 0, stats.CPU{}, umem.Ledger{}
	}
	var held *HeldError
	if errors.As(err, &held) {
		s.held = append(s.held, r)
		err = nil
	}
	return errors.Join(err, s.settle(0))
}

// settle closes those whose packets have come home by now.
func (s *Standing) settle(patience time.Duration) (err error) {
	s.held = slices.DeleteFunc(s.held, func(r *Receiver) bool {
		r.cfg.CloseTimeout = patience
		e := r.Close()
		if held := (*HeldError)(nil); patience == 0 && errors.As(e, &held) {
			return false
		}
		err = errors.Join(err, e)
		return e == nil
	})
	return err
}

func (s *Standing) tell(k EventKind, text string) {
	s.mu.Lock()
	cfg := s.cfg
	s.mu.Unlock()
	s.counts.tell(&cfg, Event{At: time.Now(), Kind: k, Interface: s.name, Text: text})
}

// Close gives everything back. Like Receiver.Close it waits for packets that consumers hold, and returns a *HeldError if
// that takes too long; it may then be called again.
func (s *Standing) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		return errors.New("xrx: Close while Run is running: cancel its context and wait for it")
	}
	s.closed = true
	check := s.cfg
	err := check.Validate() // for the default of CloseTimeout
	err = errors.Join(err, s.retire(check.CloseTimeout), s.settle(check.CloseTimeout))
	if s.namespace != nil {
		err = errors.Join(err, s.namespace.Close())
		s.namespace = nil
	}
	return err
}

// Snapshot returns all counters since NewStanding. While there is no interface, no queue has frames.
func (s *Standing) Snapshot() stats.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := stats.Snapshot{At: time.Now(), CPU: stats.CPU(sys.ProcessUsage())}
	if s.r != nil {
		now = s.r.Snapshot()
	}
	now = now.Carry(s.before).Carry(stats.Snapshot{Events: s.counts.all()})
	for _, r := range s.held {
		held := r.Snapshot()
		for _, q := range held.Queues {
			i := slices.IndexFunc(now.Queues, func(n stats.Queue) bool { return n.Queue == q.Queue })
			now.Queues[i].Ledger = now.Queues[i].Ledger.Add(q.Ledger)
		}
		for i, w := range held.Workers {
			now.Workers[i].Held += w.Held
		}
	}
	return now
}

// Ledger returns where every frame is, also those of interfaces that are gone and that consumers hold packets of.
func (s *Standing) Ledger() (l umem.Ledger) {
	for _, q := range s.Snapshot().Queues {
		l = l.Add(q.Ledger)
	}
	return l
}

// Interface returns the name that it stands for.
func (s *Standing) Interface() string { return s.name }

// Mode returns what was negotiated when the interface was last opened; zero before that.
func (s *Standing) Mode() Mode {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode
}

// Registered reports whether every queue receives now.
func (s *Standing) Registered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r != nil && s.r.Registered()
}

// SetMatch is Receiver.SetMatch, for this interface and those to come.
func (s *Standing) SetMatch(expr string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("xrx: SetMatch on a closed receiver")
	}
	cfg := s.cfg
	cfg.Match = expr
	if _, err := cfg.Expression(); err != nil {
		return err
	}
	if s.r != nil {
		if err := s.r.SetMatch(expr); err != nil {
			return err
		}
	}
	s.cfg.Match = expr
	return nil
}

// Match is Receiver.Match; while there is no interface, what will be in force.
func (s *Standing) Match() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.r != nil {
		return s.r.Match()
	}
	e, _ := s.cfg.Expression() // it was checked
	return e.String()
}
