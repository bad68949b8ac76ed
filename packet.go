package xrx

import (
	"iter"
	"net"

	"xrx/umem"
)

// Meta is what the XDP program knew about a packet: flow hash, receive time, VLAN, offsets. See umem.Meta.
type Meta = umem.Meta

// Packet is a received packet: a small value that names it, not the bytes. Copies name the same packet and count as
// one reference.
//
// In a Handler the packet is valid until the handler returns, unless it was retained. In a BatchHandler it is the
// consumer's until Release. A Packet used after its last Release panics with a *umem.MisuseError.
type Packet struct {
	h   *umem.Header
	q   *Queue
	gen uint32
}

// Data returns the first buffer of the packet, starting at the Ethernet header. It is the whole packet unless GRO
// merged segments (Count above 1) or the packet spans several frames (IsChain): then use Segments, Buffers or Bytes.
func (p Packet) Data() []byte {
	p.h.Check(p.gen)
	return p.h.Bytes()
}

// Len returns the bytes of the whole packet from the Ethernet header on, headers counted once; of a list (IsList), the
// sum over its packets.
func (p Packet) Len() int {
	p.h.Check(p.gen)
	return int(p.h.Total)
}

// Count returns how many packets arrived on the wire for this one: above 1 when GRO merged.
func (p Packet) Count() int {
	p.h.Check(p.gen)
	return int(p.h.Segs)
}

// GSOSize returns the layer 4 payload bytes of each merged segment (the last may be shorter); 0 when Count is 1. A
// consumer of merged UDP cuts the payload there.
func (p Packet) GSOSize() int {
	p.h.Check(p.gen)
	return int(p.h.GSOSize)
}

// Frames returns how many frames of its queue's memory the packet keeps from being filled anew.
func (p Packet) Frames() int {
	p.h.Check(p.gen)
	return int(p.h.Bufs)
}

// IsChain reports whether the packet lies in more than one frame.
func (p Packet) IsChain() bool {
	p.h.Check(p.gen)
	return p.h.Seg != 0
}

// Segments yields the packet's bytes in order, one slice per frame: the first with the headers, the others with what
// they add to it (in a list, packets with all their headers). The slices are valid as long as the packet.
func (p Packet) Segments() iter.Seq[[]byte] {
	p.h.Check(p.gen)
	return func(yield func([]byte) bool) {
		p.h.Check(p.gen) // the iterator may be older than the packet's release
		for h := p.h; h != nil; h = p.q.mem.Deref(h.Seg) {
			if !yield(h.Payload()) {
				return
			}
		}
	}
}

// Buffers appends the packet's slices to b, for writev through net.Buffers: nothing is copied, so the packet must not be
// released before they are written.
func (p Packet) Buffers(b net.Buffers) net.Buffers {
	for s := range p.Segments() {
		b = append(b, s)
	}
	return b
}

// Bytes appends a copy of the whole packet to dst and returns the extended slice: with Len bytes of room in the
// caller's buffer, nothing is allocated.
func (p Packet) Bytes(dst []byte) []byte {
	for s := range p.Segments() {
		dst = append(dst, s...)
	}
	return dst
}

// Meta decodes what the XDP program stamped. Read it before writing into the headroom in front of the packet.
func (p Packet) Meta() Meta {
	p.h.Check(p.gen)
	return p.h.Meta(p.q.packetOffset)
}

// Queue returns the rx queue that the packet arrived on.
func (p Packet) Queue() int { return p.q.id }

// Frame returns the number of the packet's (first) frame within its queue's UMEM, 0 .. Frames-1, or with
// Config.SharedUmem within that of all queues: a key for side tables, stable until Release.
func (p Packet) Frame() int {
	p.h.Check(p.gen)
	return p.h.Index()
}

// Checksum returns what is known about the packet's layer 4 checksum.
func (p Packet) Checksum() umem.Csum {
	p.h.Check(p.gen)
	return p.h.Csum
}

// Offset returns where the packet starts within its chunk: headroom + 256 unless an XDP program moved it.
func (p Packet) Offset() int {
	p.h.Check(p.gen)
	return int(p.h.Off)
}

// Retain adds a reference: the packet stays valid until it is released once more. Any goroutine that holds the packet
// may call it.
func (p Packet) Retain() { p.q.pool.Retain(p.h, p.gen) }

// Release gives a reference back, on any goroutine. With the last one the packet's frames go home, and its bytes may
// change at any moment.
func (p Packet) Release() { p.q.pool.Release(p.h, p.gen) }

// Release gives back one reference of each packet, on any goroutine: cheaper than one call each, since packets of the
// same queue go home with one push. If one of them is misused (panic), those before it have been released.
func Release(batch []Packet) {
	var home umem.Returns
	defer home.Send()
	for _, p := range batch {
		home.Release(p.q.pool, p.h, p.gen)
	}
}
