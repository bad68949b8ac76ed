package fakekernel

import (
	"fmt"
	"sync/atomic"

	"xrx/internal/ring"
	"xrx/internal/sys"
	"xrx/umem"
)

// Verdict is what became of a packet.
type Verdict uint8

const (
	Taken   Verdict = iota // in the UMEM, its descriptors on the rx ring (published by Flush)
	NoFrame                // no (or too few) chunk addresses on the fill ring
	RxFull                 // no room for its descriptors on the rx ring
	TooLong                // longer than a chunk takes, and multi-buffer is off
)

func (v Verdict) String() string {
	return [...]string{"taken", "no frame", "rx ring full", "too long"}[v]
}

// Packet is what arrives at the interface.
type Packet struct {
	Data []byte // from the Ethernet header on
	Meta []byte // what the XDP program writes directly in front of it; may be nil
}

// Counters are those of XDP_STATISTICS, and what the kernel does without counting it.
type Counters struct {
	RxDropped     uint64 // rx_dropped: no chunk, or too long
	RxRingFull    uint64 // rx_ring_full
	FillRingEmpty uint64 // rx_fill_ring_empty_descs

	Packets  uint64 // taken
	Bytes    uint64 // taken
	Descs    uint64 // rx descriptors produced for packets
	Beyond   uint64 // fill addresses beyond the UMEM: consumed silently
	Rounded  uint64 // misaligned fill addresses: rounded down silently
	Repeated uint64 // chunks posted while they were already the kernel's: accepted silently
}

// Kernel is the kernel's half of one socket. Everything but Fill, Rx and Running belongs to one goroutine: the
// caller's while it steps, Start's while that runs.
type Kernel struct {
	Fill ring.Memory[uint64]      // to build the fill producer on
	Rx   ring.Memory[sys.XDPDesc] // to build the rx consumer on

	SG       bool     // XDP_USE_SG: a packet that does not fit a chunk takes several
	Counters Counters // read it when nothing runs

	mem    *umem.Umem
	region []byte
	fill   *ring.Consumer[uint64]
	rx     *ring.Producer[sys.XDPDesc]
	spare  []uint64       // chunks taken off the fill ring and not used: the pool's free list in the kernel, last in first out
	owned  map[uint64]int // how often each chunk is posted and has not come back
	last   sys.XDPDesc    // the descriptor produced last
	dirty  bool           // descriptors were produced since the last Flush
}

// New makes the kernel's half of a socket with rings of size descriptors, a power of two.
func New(mem *umem.Umem, size int) *Kernel { return NewRings(mem, size, size) }

// NewRings is New with rings of different sizes.
func NewRings(mem *umem.Umem, fill, rx int) *Kernel {
	k := &Kernel{Fill: ring.New[uint64](fill), Rx: ring.New[sys.XDPDesc](rx), mem: mem, region: mem.Memory(), owned: map[uint64]int{}}
	k.fill, k.rx = ring.NewConsumer(k.Fill), ring.NewProducer(k.Rx)
	return k
}

// SetNeedWakeup sets or clears XDP_RING_NEED_WAKEUP on the fill ring.
func (k *Kernel) SetNeedWakeup(on bool) {
	var v uint32
	if on {
		v = 1
	}
	atomic.StoreUint32(k.Fill.Flags, v)
}

// FrameSize returns the most bytes of a packet that one chunk takes (xsk_pool_get_rx_frame_size).
func (k *Kernel) FrameSize() int { return k.mem.Usable() }

// Receive receives packets and publishes what came of them; it returns how many were taken.
func (k *Kernel) Receive(packets ...Packet) (taken int) {
	for _, p := range packets {
		if k.Step(p) == Taken {
			taken++
		}
	}
	k.Flush()
	return taken
}

// Step receives one packet without publishing anything (__xsk_rcv). Counted as the kernel counts.
func (k *Kernel) Step(p Packet) Verdict {
	room, n := k.FrameSize(), 1
	if len(p.Data) > room {
		if !k.SG {
			k.Counters.RxDropped++
			return TooLong
		}
		n = (len(p.Data) + room - 1) / room
		if !k.canAlloc(n) {
			k.Counters.RxDropped++
			return NoFrame
		}
		if k.rx.Free() < n {
			k.Counters.RxRingFull++
			return RxFull
		}
	}
	for data, meta := p.Data, p.Meta; n > 0; n-- {
		base, ok := k.alloc()
		if !ok {
			k.Counters.FillRingEmpty++
			k.Counters.RxDropped++
			return NoFrame
		}
		if k.rx.Free() == 0 {
			k.Counters.RxRingFull++
			k.spare = append(k.spare, base) // the chunk stays the kernel's, and is used before any on the ring
			return RxFull
		}
		d := sys.XDPDesc{Addr: k.handle(base), Len: uint32(min(len(data), room))}
		if n > 1 {
			d.Options = sys.XDPPktContd
		}
		at := int(base) + k.mem.PacketOffset()
		copy(k.region[at:], data[:d.Len])
		copy(k.region[at-len(meta):], meta)
		data, meta = data[d.Len:], nil
		k.disown(base)
		k.Produce(d)
		k.Counters.Descs++
	}
	k.Counters.Packets++
	k.Counters.Bytes += uint64(len(p.Data))
	return Taken
}

// Flush publishes both rings (xsk_flush), if there is a descriptor to publish: packets that were dropped don't.
func (k *Kernel) Flush() {
	if !k.dirty {
		return
	}
	k.dirty = false
	k.fill.Release()
	k.rx.Submit()
}

// Ready reports whether n packets of one chunk each could be taken now. It counts nothing.
func (k *Kernel) Ready(n int) bool { return k.canAlloc(n) && k.rx.Free() >= n }

// Take moves every address from the fill ring into the kernel's hands, as drivers do at a zero-copy bind, and returns
// how many it has then.
func (k *Kernel) Take() int {
	for {
		base, ok := k.next()
		if !ok {
			return len(k.spare)
		}
		k.spare = append(k.spare, base)
	}
}

// Has reports whether the chunk that contains the region's byte off was posted and has not come back.
func (k *Kernel) Has(off uint64) bool { return k.owned[off-off%k.stride()] > 0 }

// Produce puts any descriptor on the rx ring, right or wrong. Flush publishes it. The ring must have room.
func (k *Kernel) Produce(d sys.XDPDesc) {
	slot := k.rx.Reserve(1)
	if len(slot) == 0 {
		panic("fakekernel: Produce on a full rx ring")
	}
	slot[0] = d
	k.rx.Advance(1)
	k.last, k.dirty = d, true
}

func (k *Kernel) stride() uint64 {
	c := k.mem.Config()
	return (uint64(c.ChunkSize) + 63) &^ 63
}

// handle returns the address of a packet in the chunk at base as a descriptor shows it (xp_get_handle).
func (k *Kernel) handle(base uint64) uint64 {
	if k.mem.Config().Unaligned {
		return base + uint64(k.mem.PacketOffset())<<48
	}
	return base + uint64(k.mem.PacketOffset())
}

// canAlloc reports whether n chunks are there, on the free list or the ring (xsk_buff_can_alloc).
func (k *Kernel) canAlloc(n int) bool { return len(k.spare)+k.fill.Level() >= n }

// alloc takes a chunk off the free list, or else the fill ring (xp_alloc).
func (k *Kernel) alloc() (base uint64, ok bool) {
	if n := len(k.spare); n > 0 {
		base, k.spare = k.spare[n-1], k.spare[:n-1]
		return base, true
	}
	return k.next()
}

// next takes the next good address off the fill ring (__xp_alloc, xp_check_aligned, xp_check_unaligned): an address
// beyond the UMEM is skipped, a misaligned one rounded down; no counter that a program can read tells of either.
func (k *Kernel) next() (base uint64, ok bool) {
	c := k.mem.Config()
	for {
		slot := k.fill.Peek(1)
		if len(slot) == 0 {
			k.fill.Release() // the kernel publishes what it has taken when it looks for more (xskq_cons_get_entries)
			return 0, false
		}
		addr := slot[0]
		k.fill.Advance(1)
		if c.Unaligned {
			base = addr & (1<<48 - 1)
			ok = base+uint64(c.ChunkSize) <= uint64(len(k.region))
		} else {
			base = addr &^ uint64(c.ChunkSize-1)
			ok = base < uint64(len(k.region))
		}
		if !ok {
			k.Counters.Beyond++
			continue
		}
		if base != addr {
			k.Counters.Rounded++
		}
		if k.owned[base]++; k.owned[base] > 1 {
			k.Counters.Repeated++
		}
		return base, true
	}
}

func (k *Kernel) disown(base uint64) {
	if k.owned[base]--; k.owned[base] == 0 {
		delete(k.owned, base)
	}
}

// String says what the kernel has, for failure messages.
func (k *Kernel) String() string {
	return fmt.Sprintf("fake kernel: %d addresses on the fill ring, %d in hand, %d descriptors on the rx ring, %+v", k.fill.Level(), len(k.spare), k.rx.Level(), k.Counters)
}
