package xrx

import (
	"log"
	"maps"
	"runtime/debug"
	"strings"
	"sync"
)

// panicLog counts what consumers panicked, for all goroutines that call them: a lock, but only where one has panicked.
type panicLog struct {
	hook func(*PanicError) // Config.OnPanic; nil: the standard logger

	mu     sync.Mutex
	queues map[int]*panicCounts
	first  map[string]*PanicError // of each consumer
}

// panicCounts are one queue's.
type panicCounts struct {
	by     map[string]uint64 // panics, by consumer
	lost   uint64            // packets that panics cost
	unseen uint64            // packets that came after a fatal one, and were not shown to anybody
}

func (l *panicLog) of(queue int) *panicCounts {
	c := l.queues[queue]
	if c == nil {
		c = &panicCounts{by: map[string]uint64{}}
		if l.queues == nil {
			l.queues, l.first = map[int]*panicCounts{}, map[string]*PanicError{}
		}
		l.queues[queue] = c
	}
	return c
}

// add counts a panic and the packets that it cost. The stack is only taken, and the hook only told, of a consumer's
// first one; its description is returned for all that follow.
func (l *panicLog) add(queue int, consumer string, v any, lost int) *PanicError {
	l.mu.Lock()
	c := l.of(queue)
	c.by[consumer]++
	c.lost += uint64(lost)
	e := l.first[consumer]
	known := e != nil
	if !known {
		e = &PanicError{Consumer: consumer, Queue: queue, Value: v, Stack: stack()}
		l.first[consumer] = e
	}
	l.mu.Unlock() // the hook may ask for a snapshot
	switch {
	case known && v == nil && e.Value != nil: // a Goexit is told from the panic before it
		return &PanicError{Consumer: consumer, Queue: queue, Stack: stack()}
	case known:
	case l.hook != nil:
		l.hook(e)
	default:
		log.Print(e)
	}
	return e
}

// unseen counts packets that nobody was shown.
func (l *panicLog) unseen(queue, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(queue).unseen += uint64(n)
}

// counts returns a queue's, to keep.
func (l *panicLog) counts(queue int) (c panicCounts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if have := l.queues[queue]; have != nil {
		c = *have
		c.by = maps.Clone(have.by)
	}
	return c
}

// stack is the goroutine's, without the frames of the code that catches the panic.
func stack() string {
	head, rest, _ := strings.Cut(string(debug.Stack()), "\n") // goroutine N [running]:
	if _, after, ok := strings.Cut(rest, "\npanic("); ok {
		if _, after, ok = strings.Cut(after, "\n\t"); ok { // where panic is in the runtime
			if _, after, ok = strings.Cut(after, "\n"); ok {
				rest = after
			}
		}
	}
	return head + "\n" + rest
}

// Panics returns the first panic of each consumer that has panicked, by its name. How many there were, Snapshot says.
func (r *Receiver) Panics() map[string]*PanicError {
	r.panics.mu.Lock()
	defer r.panics.mu.Unlock()
	return maps.Clone(r.panics.first)
}
