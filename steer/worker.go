package steer

import (
	"runtime"
	"sync"
	"sync/atomic"

	"xrx/internal/ring"
)

// Worker is one consumer of a crew: a goroutine, and the reading ends of its backlogs.
type Worker[T any] struct {
	id     int
	batch  int
	handle func(worker, producer int, items []T)

	// mu is held while items are taken, not while they are handled: by the worker, once per batch, and by Stop, once. No
	// producer takes it.
	mu    sync.Mutex
	lanes []*ring.Consumer[T] // by producer
	next  int                 // the lane to look at first
	taken int                 // items of lane next that are being handled
	gone  bool                // dismissed: the rest is not this worker's any more

	stopping atomic.Bool // no producer hands over any more
	done     chan struct{}

	_      [64]byte      // producers look at asleep: not at what the worker writes
	asleep atomic.Bool   // see sleep
	bell   chan struct{} // at most one ring is in it
}

func newWorker[T any](id int, c Config[T]) *Worker[T] {
	return &Worker[T]{id: id, batch: c.Batch, handle: c.Handle, lanes: make([]*ring.Consumer[T], c.Producers),
		done: make(chan struct{}), bell: make(chan struct{}, 1)}
}

// spins is how often an idle worker gives way and looks again before it sleeps: to be woken costs both sides
// microseconds, and while packets come the next ones are that near.
const spins = 16

// live is the worker's life. A handler that ends the goroutine (runtime.Goexit) takes it from under the worker: another
// one goes on behind the items that were being handled.
func (w *Worker[T]) live() {
	returned := false
	defer func() {
		if !returned {
			go w.live()
		}
	}()
	w.work()
	returned = true
	close(w.done)
}

func (w *Worker[T]) work() {
	for idle := 0; ; {
		last := w.stopping.Load() // before looking: what was handed over before Stop is found by this look
		producer, items, gone := w.take()
		switch {
		case gone:
			return
		case len(items) > 0:
			w.handle(w.id, producer, items)
			idle = 0
		case last:
			return
		case idle < spins:
			idle++
			runtime.Gosched()
		default:
			w.sleep()
			idle = 0
		}
	}
}

// take gives back the places of the items that were handled, and takes the next ones: of each producer in turn.
func (w *Worker[T]) take() (producer int, items []T, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		return 0, nil, true
	}
	if w.taken > 0 {
		l := w.lanes[w.next]
		l.Advance(w.taken)
		l.Release()
		w.taken = 0
		w.next = (w.next + 1) % len(w.lanes)
	}
	for range w.lanes {
		if items := w.lanes[w.next].Peek(w.batch); len(items) > 0 {
			w.taken = len(items)
			return w.next, items, false
		}
		w.next = (w.next + 1) % len(w.lanes)
	}
	return 0, nil, false
}

// sleep blocks until a producer has handed something over, or Stop was called.
//
// No wakeup is lost. The worker stores asleep, then looks at its backlogs; a producer publishes, then loads asleep
// (wake). Go's atomics are sequentially consistent, so of the two stores one is first, and the other side's load sees
// it: either the worker sees the items, or the producer sees it asleep, or both. Whoever turns asleep from true to false
// owns the wakeup: a producer that does rings the bell once; the worker that does has not gone to sleep. If the worker
// finds items and a producer was faster, its ring is on the way and is taken here, so the bell is empty when asleep is
// next stored: it has room for one ring, and no producer ever blocks on it.
func (w *Worker[T]) sleep() {
	w.asleep.Store(true)
	if (w.waiting() || w.stopping.Load()) && w.asleep.CompareAndSwap(true, false) {
		return
	}
	<-w.bell
}

// wake rings for a worker that sleeps or is about to.
func (w *Worker[T]) wake() {
	if w.asleep.Load() && w.asleep.CompareAndSwap(true, false) {
		w.bell <- struct{}{}
	}
}

func (w *Worker[T]) waiting() bool {
	for _, l := range w.lanes {
		if l.Level() > 0 {
			return true
		}
	}
	return false
}

// dismiss takes away from a worker what it has not taken, unless it has ended in time.
func (w *Worker[T]) dismiss() (left []T, late bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.done:
		return nil, false
	default:
	}
	w.gone = true
	for i, l := range w.lanes {
		if i == w.next {
			l.Advance(w.taken)
		}
		for items := l.Peek(l.Size()); len(items) > 0; items = l.Peek(l.Size()) {
			left = append(left, items...)
			l.Advance(len(items))
		}
	}
	return left, w.taken > 0 || len(left) > 0
}
