// Package ring is the one single-producer single-consumer ring of xrx: indices and descriptors in memory that is
// shared with the kernel (or, in tests, with a goroutine that plays the kernel).
//
// The protocol is that of net/xdp/xsk_queue.h: free-running 32-bit indices, size a power of two. The producer writes
// descriptors, then stores the producer index with release semantics; the consumer loads it with acquire semantics,
// reads descriptors, then stores the consumer index with release semantics. Go's sync/atomic is sequentially
// consistent, which is more; it is paid once per batch, and the full barrier of the store is what makes it safe to
// read NEED_WAKEUP right after it.
//
// Each side keeps a private copy of its own index and a cached copy of the other's, so that the shared cache lines are
// touched once per batch and not once per descriptor.
package ring

import (
	"fmt"
	"math/bits"
	"sync/atomic"
)

// Memory is a ring as it lies in shared memory.
type Memory[T any] struct {
	Producer *uint32 // index of the next descriptor to be produced; written by the producer only
	Consumer *uint32 // index of the next descriptor to be consumed; written by the consumer only
	Flags    *uint32 // written by the kernel; may be nil
	Descs    []T     // len is the ring's size
}

// needWakeup is XDP_RING_NEED_WAKEUP (include/uapi/linux/if_xdp.h).
const needWakeup = 1

func (m Memory[T]) check() {
	if n := len(m.Descs); n == 0 || bits.OnesCount(uint(n)) != 1 || m.Producer == nil || m.Consumer == nil {
		panic(fmt.Sprintf("ring: %d descriptors: want a power of two and both indices", n))
	}
}

// New makes a ring in Go memory, for tests and for rings between goroutines. size is a power of two.
func New[T any](size int) Memory[T] {
	idx := new([3][16]uint32) // a cache line each
	return Memory[T]{Producer: &idx[0][0], Consumer: &idx[1][0], Flags: &idx[2][0], Descs: make([]T, size)}
}

// Producer is the writing end. One goroutine.
type Producer[T any] struct {
	mem  Memory[T]
	mask uint32
	head uint32 // next to write; published by Submit
	room uint32 // consumer index as last seen, plus size: head may run up to here
}

// NewProducer starts at the index that the memory holds.
func NewProducer[T any](m Memory[T]) *Producer[T] {
	m.check()
	return &Producer[T]{mem: m, mask: uint32(len(m.Descs) - 1), head: atomic.LoadUint32(m.Producer), room: atomic.LoadUint32(m.Consumer) + uint32(len(m.Descs))}
}

// Size returns the number of descriptors that the ring can hold.
func (p *Producer[T]) Size() int { return len(p.mem.Descs) }

// Free returns how many descriptors can be written now; it looks at the consumer's index.
func (p *Producer[T]) Free() int {
	p.room = atomic.LoadUint32(p.mem.Consumer) + uint32(len(p.mem.Descs))
	return int(p.room - p.head)
}

// Reserve returns up to n free slots that lie in a row; fewer where the ring wraps or is full. Write them, then call
// Submit with the number written.
func (p *Producer[T]) Reserve(n int) []T {
	if int(p.room-p.head) < n {
		p.Free()
	}
	i := p.head & p.mask
	n = min(n, int(p.room-p.head), len(p.mem.Descs)-int(i))
	return p.mem.Descs[i : int(i)+n]
}

// Advance counts n reserved slots as written without publishing them: for a batch that wraps.
func (p *Producer[T]) Advance(n int) { p.head += uint32(n) }

// Submit publishes everything written so far.
func (p *Producer[T]) Submit() { atomic.StoreUint32(p.mem.Producer, p.head) }

// NeedWakeup reports whether the kernel asks to be called: after Submit, and only meaningful with XDP_USE_NEED_WAKEUP.
func (p *Producer[T]) NeedWakeup() bool {
	return p.mem.Flags != nil && atomic.LoadUint32(p.mem.Flags)&needWakeup != 0
}

// Level returns how many submitted descriptors the consumer has not taken yet.
func (p *Producer[T]) Level() int {
	return int(p.head - atomic.LoadUint32(p.mem.Consumer))
}

// Consumer is the reading end. One goroutine.
type Consumer[T any] struct {
	mem  Memory[T]
	mask uint32
	tail uint32 // next to read; published by Release
	seen uint32 // producer index as last seen
}

// NewConsumer starts at the index that the memory holds.
func NewConsumer[T any](m Memory[T]) *Consumer[T] {
	m.check()
	return &Consumer[T]{mem: m, mask: uint32(len(m.Descs) - 1), tail: atomic.LoadUint32(m.Consumer), seen: atomic.LoadUint32(m.Producer)}
}

// Size returns the number of descriptors that the ring can hold.
func (c *Consumer[T]) Size() int { return len(c.mem.Descs) }

// Peek returns up to n descriptors that lie in a row; fewer where the ring wraps or runs empty. They stay valid until
// Release.
func (c *Consumer[T]) Peek(n int) []T {
	if int(c.seen-c.tail) < n {
		c.seen = atomic.LoadUint32(c.mem.Producer)
	}
	i := c.tail & c.mask
	n = min(n, int(c.seen-c.tail), len(c.mem.Descs)-int(i))
	return c.mem.Descs[i : int(i)+n]
}

// Advance counts n peeked descriptors as read without giving their slots back.
func (c *Consumer[T]) Advance(n int) { c.tail += uint32(n) }

// Release gives the slots of everything read so far back to the producer.
func (c *Consumer[T]) Release() { atomic.StoreUint32(c.mem.Consumer, c.tail) }

// Level returns how many descriptors wait to be read.
func (c *Consumer[T]) Level() int { return int(atomic.LoadUint32(c.mem.Producer) - c.tail) }
