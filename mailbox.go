package xrx

import (
	"sync"
	"sync/atomic"
)

// mailbox lets other goroutines have something done on a queue's goroutine, which looks at one flag per poll. While
// the queue does not run, the asker does it itself, under the lock.
type mailbox struct {
	mu      sync.Mutex
	running bool
	letters []letter
	flag    atomic.Bool
}

type letter struct {
	do   func(*Queue)
	done chan struct{}
}

func (m *mailbox) open() {
	m.mu.Lock()
	m.running = true
	m.mu.Unlock()
}

// shut answers what has come, and leaves the queue to whoever asks next.
func (m *mailbox) shut(q *Queue) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = false
	m.answer(q)
}

func (m *mailbox) waiting() bool { return m.flag.Load() }

func (m *mailbox) serve(q *Queue) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer(q)
}

func (m *mailbox) answer(q *Queue) {
	for _, l := range m.letters {
		l.do(q)
		close(l.done)
	}
	m.letters = nil
	m.flag.Store(false)
}

// ask runs do on the queue's goroutine and waits for it.
func (q *Queue) ask(do func(*Queue)) {
	m := &q.mail
	m.mu.Lock()
	if !m.running {
		defer m.mu.Unlock()
		do(q)
		return
	}
	l := letter{do, make(chan struct{})}
	m.letters = append(m.letters, l)
	m.flag.Store(true)
	m.mu.Unlock()
	q.event.Signal()
	<-l.done
}
