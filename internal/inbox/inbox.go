// Package inbox hands packets, not copies, from the queues' goroutines to readers that call when they like, with a bound
// on the frames that may wait.
package inbox

import (
	"fmt"
	"io"
	"os"
	"sync"

	"xrx"
)

// Item is a packet that waits, or that a reader has: then it is the reader's to release.
type Item struct {
	xrx.Packet
	At     int64 // ns since 1970, when its batch came
	frames int
}

// Inbox is a bounded queue of packets. Any goroutine may use it.
type Inbox struct {
	limit int           // frames
	wake  chan struct{} // one token: there may be something
	over  chan struct{} // closed: nothing more will come

	mu      sync.Mutex
	ring    []Item // of limit items: a packet has at least one frame
	head, n int
	frames  int
	ended   bool
	dropped uint64 // packets on the wire
}

// MinFrames is the least limit: a merged packet of 64 KiB in frames of 2048 bytes, and some more.
const MinFrames = 64

// New returns an inbox in which at most so many frames wait.
func New(frames int) (*Inbox, error) {
	if frames < MinFrames || frames > 1<<20 {
		return nil, fmt.Errorf("a backlog of %d frames: want %d to %d, well below Config.Frames", frames, MinFrames, 1<<20)
	}
	return &Inbox{limit: frames, wake: make(chan struct{}, 1), over: make(chan struct{}), ring: make([]Item, frames)}, nil
}

// Put takes the reference of each packet. What there is no room for is released and counted.
func (b *Inbox) Put(packets []xrx.Packet, at int64) {
	if len(packets) == 0 {
		return
	}
	b.mu.Lock()
	for _, p := range packets {
		frames := 1
		if p.IsChain() {
			frames = 0
			for range p.Segments() {
				frames++
			}
		}
		if b.ended || b.frames+frames > b.limit {
			b.dropped += uint64(p.Count())
			p.Release()
			continue
		}
		b.ring[(b.head+b.n)%b.limit] = Item{p, at, frames}
		b.n++
		b.frames += frames
	}
	b.mu.Unlock()
	b.signal()
}

func (b *Inbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// TryGet returns the oldest packet, if there is one.
func (b *Inbox) TryGet() (Item, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n == 0 {
		return Item{}, false
	}
	it := b.ring[b.head]
	b.ring[b.head] = Item{}
	b.head = (b.head + 1) % b.limit
	b.n--
	b.frames -= it.frames
	if b.n > 0 {
		b.signal() // for another reader
	}
	return it, true
}

// Get waits for a packet: io.EOF when nothing more will come, os.ErrDeadlineExceeded when cancel was closed.
func (b *Inbox) Get(cancel <-chan struct{}) (Item, error) {
	for {
		if it, ok := b.TryGet(); ok {
			return it, nil
		}
		select {
		case <-b.wake:
		case <-cancel:
			return Item{}, os.ErrDeadlineExceeded
		case <-b.over:
			if it, ok := b.TryGet(); ok {
				return it, nil
			}
			return Item{}, io.EOF
		}
	}
}

// End says that nothing more will come: readers get what waits, then io.EOF. Packets that come all the same are dropped.
func (b *Inbox) End() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.ended = true
		close(b.over)
	}
}

// Close is End, and releases what waits.
func (b *Inbox) Close() {
	b.End()
	for {
		it, ok := b.TryGet()
		if !ok {
			return
		}
		it.Release()
	}
}

// Dropped returns how many packets on the wire there was no room for.
func (b *Inbox) Dropped() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}
