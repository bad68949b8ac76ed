package main

import (
	"encoding/binary"
	"iter"

	"xrx"
	"xrx/internal/capture"
	"xrx/umem"
)

// headBytes is how much of a packet is copied where only its headers are printed.
const headBytes = 512

// keep says what is copied of each packet, beside its headers.
type keep struct {
	whole bool // all of it
	wire  bool // the packets that it was on the wire
}

// record is a packet waiting for output: what is known about it, and where its bytes are in the batch.
type record struct {
	at       int64 // ns since 1970
	hash     uint32
	queue    int
	merged   capture.Merged // Segs is at least 1
	csum     umem.Csum
	length   int // bytes of the whole packet
	captured int // of a packet that a capture file cut off: the bytes that are there; else 0
	data     span
	wire     span // of batch.lengths: the wire packets, whose bytes follow the record's
}

type span struct{ from, to int }

// batch is packets copied one behind the other.
type batch struct {
	records []record
	bytes   []byte
	lengths []int // of wire packets
	room    int   // bytes that a batch may take in all
}

func (b *batch) reset() { b.records, b.bytes, b.lengths = b.records[:0], b.bytes[:0], b.lengths[:0] }

// recordCost is what a record itself takes of a batch's room, about.
const recordCost = 128

// delivered is a packet as a consumer gets it: off an interface (xrx.Packet) or out of a file (replayed).
type delivered interface {
	Data() []byte
	Len() int
	Count() int
	GSOSize() int
	IsChain() bool
	Checksum() umem.Csum
	Segments() iter.Seq[[]byte]
	ResegmentWith(*xrx.Splitter) iter.Seq[[][]byte]
}

// add copies a packet; r comes with what only the caller knows. tag is the VLAN tag that the device took out of the
// packet, type and TCI, and is put back; 0 is none. False: there is no room.
func add[P delivered](b *batch, k keep, s *xrx.Splitter, p P, r record, tag uint32) bool {
	limit := p.Len()
	if r.csum = p.Checksum(); !k.whole && r.csum != umem.CsumUnknown { // where nobody looked, output verifies
		limit = min(limit, headBytes)
	}
	need := limit
	if k.wire {
		need += p.Len() + p.Count()*256 // each has up to 255 bytes of headers and a tag of its own
	}
	if len(b.bytes)+len(b.records)*recordCost+len(b.lengths)*8+need+recordCost > b.room {
		return false
	}
	r.merged = capture.Merged{Segs: p.Count(), GSOSize: p.GSOSize()}
	r.length = max(r.length, p.Len())
	r.data.from = len(b.bytes)
	if p.IsChain() {
		b.bytes = appendChain(b.bytes, p, limit)
	} else {
		b.bytes = append(b.bytes, p.Data()[:limit]...)
	}
	if tag != 0 && b.retag(r.data.from, tag) {
		r.length += 4
	}
	r.data.to, r.wire.from = len(b.bytes), len(b.lengths)
	if k.wire {
		addWire(b, s, p, tag)
	}
	r.wire.to = len(b.lengths)
	b.records = append(b.records, r)
	return true
}

// appendChain copies up to limit bytes of a packet in several frames.
func appendChain[P delivered](dst []byte, p P, limit int) []byte {
	for part := range p.Segments() {
		part = part[:min(len(part), limit)]
		dst = append(dst, part...)
		if limit -= len(part); limit == 0 {
			break
		}
	}
	return dst
}

// addWire copies the packets that p was on the wire.
func addWire[P delivered](b *batch, s *xrx.Splitter, p P, tag uint32) {
	for parts := range p.ResegmentWith(s) {
		at := len(b.bytes)
		for _, part := range parts {
			b.bytes = append(b.bytes, part...)
		}
		if tag != 0 {
			b.retag(at, tag)
		}
		b.lengths = append(b.lengths, len(b.bytes)-at)
	}
}

// retag puts a tag behind the addresses of the packet that starts at an offset and goes to the end.
func (b *batch) retag(at int, tag uint32) bool {
	if len(b.bytes) < at+12 {
		return false
	}
	b.bytes = append(b.bytes, 0, 0, 0, 0)
	copy(b.bytes[at+16:], b.bytes[at+12:])
	binary.BigEndian.PutUint32(b.bytes[at+12:], tag)
	return true
}

// strippedTag returns the tag that the device took out of a packet, 0 if it did not.
func strippedTag(m xrx.Meta) uint32 {
	switch {
	case m.Flags&umem.VLANHW == 0:
		return 0
	case m.Flags&umem.VLANAD != 0:
		return 0x88a8<<16 | uint32(m.VLANTCI)
	}
	return 0x8100<<16 | uint32(m.VLANTCI)
}
