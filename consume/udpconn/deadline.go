package udpconn

import (
	"sync"
	"time"
)

// deadline is a moment after which waiting ends, which may be moved at any time.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	moved uint64        // counts set: a timer that went off just before is recognised
	past  chan struct{} // closed when the moment has come
}

func newDeadline() *deadline { return &deadline{past: make(chan struct{})} }

// set moves the deadline; the zero time is never.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.moved++
	select {
	case <-d.past:
		d.past = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	wait, moved := time.Until(t), d.moved
	if wait <= 0 {
		close(d.past)
		return
	}
	d.timer = time.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.moved == moved {
			close(d.past)
		}
	})
}

// passed returns a channel that is closed when the moment comes.
func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.past
}
