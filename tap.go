package xrx

import (
	"fmt"
	"sync/atomic"
)

// Tap sees every packet that a Mux is given, before the packet's handler does: what a packet socket is to the kernel
// (deliver_skb). It may keep packets, up to a limit of frames; beyond it the tap misses them, which is counted under its
// name, and nobody else notices.
type Tap struct {
	name  string
	limit int64
	see   func(*Tap, Packet)

	held   atomic.Int64  // frames that it keeps
	missed atomic.Uint64 // packets that it could not keep
	seen   atomic.Uint64 // packets it was shown; added once a batch

	free  atomic.Uint64 // list of free slots: a Treiber stack; above 32 bits a version, below the slot's number plus one
	slots []keptSlot
}

// keptSlot is the place of one kept packet. Its life number is even while it is free, odd while a packet is in it.
type keptSlot struct {
	life   atomic.Uint32
	next   atomic.Uint32 // on the free list: number plus one of the next
	p      Packet
	frames int64
}

// Tap registers a tap: see is called with every packet, from as many goroutines as the Mux has. It may keep frames
// frames at a time (Keep), 0: none. The name is the tap's in counters; two taps can't share one.
func (m *Mux) Tap(name string, frames int, see func(t *Tap, p Packet)) (*Tap, error) {
	switch {
	case name == "":
		return nil, m.refuse(fmt.Errorf("xrx: mux: a tap needs a name: it is counted under it"))
	case see == nil:
		return nil, m.refuse(fmt.Errorf("xrx: mux: tap %s: the function is nil", name))
	case frames < 0 || frames > 1<<22:
		return nil, m.refuse(fmt.Errorf("xrx: mux: tap %s: a limit of %d frames: want 0 to %d", name, frames, 1<<22))
	}
	t := &Tap{name: name, limit: int64(frames), see: see, slots: make([]keptSlot, frames)}
	for i := range t.slots { // number 0 on top
		if i+1 < len(t.slots) {
			t.slots[i].next.Store(uint32(i) + 2)
		}
	}
	if frames > 0 {
		t.free.Store(1)
	}
	m.mu.Lock()
	running, taken := m.running, false
	for _, other := range m.taps {
		taken = taken || other.name == name
	}
	if !running && !taken {
		m.taps = append(m.taps, t)
	}
	m.mu.Unlock()
	switch {
	case running:
		return nil, fmt.Errorf("xrx: mux: tap %s: register before Run: it is in use", name)
	case taken:
		return nil, m.refuse(fmt.Errorf("xrx: mux: there is a tap %s already", name))
	}
	return t, nil
}

// Name returns the tap's name.
func (t *Tap) Name() string { return t.name }

// Held returns how many frames the tap keeps now, and its limit. Any goroutine may ask.
func (t *Tap) Held() (frames, limit int) { return int(t.held.Load()), int(t.limit) }

// Missed returns how many packets the tap could not keep because it was at its limit.
func (t *Tap) Missed() uint64 { return t.missed.Load() }

// Keep takes a reference of the tap's own to a packet that it is being shown. ok is false where that would exceed the
// limit: the packet is missed, and counted. What is kept must be released, on any goroutine.
func (t *Tap) Keep(p Packet) (k Kept, ok bool) {
	n := int64(p.Frames())
	if t.held.Add(n) > t.limit {
		t.held.Add(-n)
		t.missed.Add(1)
		return Kept{}, false
	}
	p.Retain()
	i := t.take()
	s := &t.slots[i]
	s.p, s.frames = p, n
	return Kept{t, i, s.life.Add(1)}, true
}

// take returns the number of a free slot. There is one: every packet kept has at least one frame, and a slot is given
// back before its frames are.
func (t *Tap) take() uint32 {
	for {
		head := t.free.Load()
		i := uint32(head) - 1
		if t.free.CompareAndSwap(head, (head>>32+1)<<32|uint64(t.slots[i].next.Load())) {
			return i
		}
	}
}

func (t *Tap) give(i uint32) {
	for {
		head := t.free.Load()
		t.slots[i].next.Store(uint32(head))
		if t.free.CompareAndSwap(head, (head>>32+1)<<32|uint64(i+1)) {
			return
		}
	}
}

// Kept is a packet that a tap keeps: a small value; copies are the same reference.
type Kept struct {
	t          *Tap
	slot, life uint32
}

// Packet returns the packet. It is valid until Release, after which this panics.
func (k Kept) Packet() Packet {
	s := &k.t.slots[k.slot]
	if s.life.Load() != k.life {
		panic(fmt.Sprintf("xrx: tap %s: a packet is used that it has released", k.t.name))
	}
	return s.p
}

// Release gives the tap's reference back, once, on any goroutine; a second time panics.
func (k Kept) Release() {
	s := &k.t.slots[k.slot]
	p, n := s.p, s.frames
	if !s.life.CompareAndSwap(k.life, k.life+1) {
		panic(fmt.Sprintf("xrx: tap %s: a packet is released twice", k.t.name))
	}
	k.t.give(k.slot)
	p.Release()
	k.t.held.Add(-n)
}
