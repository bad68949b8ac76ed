package steer

import (
	"time"

	"xrx/internal/ring"
)

// Config describes a crew. All fields are needed.
type Config[T any] struct {
	Workers, Producers int
	Backlog            int // items that wait for a worker, per producer: a power of two
	Batch              int // most items that a worker takes at once

	// Handle is called on a worker's goroutine with items of one producer, in order. The slice is a piece of the backlog:
	// it is only valid during the call, and its places are free for new items afterwards.
	Handle func(worker, producer int, items []T)
}

// Crew is a number of workers, and their backlogs. Make it, Start it, hand items over through its Ports, Stop it when no
// producer hands over any more. It is not started again.
type Crew[T any] struct {
	workers []*Worker[T]
	ports   []*Port[T]
}

// New makes a crew and all memory that it needs. Nothing runs yet; what is handed over waits.
func New[T any](c Config[T]) *Crew[T] {
	crew := &Crew[T]{ports: make([]*Port[T], c.Producers)}
	for i := range c.Workers {
		crew.workers = append(crew.workers, newWorker(i, c))
	}
	for i := range crew.ports {
		p := &Port[T]{lanes: make([]lane[T], c.Workers)}
		for k, w := range crew.workers {
			m := ring.New[T](c.Backlog)
			p.lanes[k] = lane[T]{worker: w, ring: ring.NewProducer(m)}
			w.lanes[i] = ring.NewConsumer(m)
		}
		crew.ports[i] = p
	}
	return crew
}

// Port returns the end of a producer: one goroutine's at a time.
func (c *Crew[T]) Port(producer int) *Port[T] { return c.ports[producer] }

// Start starts a goroutine for each worker.
func (c *Crew[T]) Start() {
	for _, w := range c.workers {
		go w.live()
	}
}

// Left is what a worker had not taken when Stop ran out of patience.
type Left[T any] struct {
	Worker int
	Items  []T // in order of producer, then of time: the caller's now
}

// Stop ends the crew, when no producer hands over any more: each worker handles its backlogs to the end. One that has
// not by the deadline keeps the items that it has been given and gets no more: its goroutine ends when Handle returns,
// Left says what it was not given, and the crew is to be let go: its memory is still in that worker's hands.
func (c *Crew[T]) Stop(deadline time.Time) (left []Left[T]) {
	for _, w := range c.workers {
		w.stopping.Store(true)
		w.wake()
	}
	patience := time.NewTimer(time.Until(deadline))
	defer patience.Stop()
	expired := false
	for _, w := range c.workers {
		if !expired {
			select {
			case <-w.done:
				continue
			case <-patience.C:
				expired = true
			}
		}
		if items, late := w.dismiss(); late {
			left = append(left, Left[T]{w.id, items})
		}
	}
	return left
}
