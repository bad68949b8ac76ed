package xrx

import (
	"sync"
	"sync/atomic"
)

// mailbox lets other goroutines have something done on a poller's goroutine, which looks at one flag per round. While
// it does not run, the asker does it itself, under the lock.
type mailbox struct {
	mu      sync.Mutex
	running bool
	letters []letter
	flag    atomic.Bool
}

type letter struct {
	do   func()
	done chan struct{}
}

func (m *mailbox) open() {
	m.mu.Lock()
	m.running = true
	m.mu.Unlock()
}

// shut answers what has come, and leaves the queues to whoever asks next.
func (m *mailbox) shut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = false
	m.answer()
}

func (m *mailbox) waiting() bool { return m.flag.Load() }

func (m *mailbox) serve() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer()
}

func (m *mailbox) answer() {
	for _, l := range m.letters {
		l.do()
		close(l.done)
	}
	m.letters = nil
	m.flag.Store(false)
}

// ask runs do on the poller's goroutine and waits for it.
func (p *poller) ask(do func()) {
	m := &p.mail
	m.mu.Lock()
	if !m.running {
		defer m.mu.Unlock()
		do()
		return
	}
	l := letter{do, make(chan struct{})}
	m.letters = append(m.letters, l)
	m.flag.Store(true)
	m.mu.Unlock()
	p.event.Signal()
	<-l.done
}
