package backlog

import (
	"encoding/binary"
	"iter"
	"time"

	"xrx"
	"xrx/internal/capture"
	"xrx/umem"
)

// HeadBytes is how much of a packet is copied where only its headers are wanted.
const HeadBytes = 512

// Keep says what is copied of each packet, beside its headers.
type Keep struct {
	Whole bool // all of it
	Wire  bool // the packets that it was on the wire
}

// Record is a packet waiting for output: what is known about it, and where its bytes are in the batch.
type Record struct {
	At       int64 // ns since 1970
	Hash     uint32
	Queue    int
	Merged   capture.Merged // Segs is at least 1
	Csum     umem.Csum
	Length   int // bytes of the whole packet
	Captured int // of a packet that a capture file cut off: the bytes that are there; else 0
	data     span
	wire     span // of Batch.lengths: the wire packets, whose bytes follow the record's
}

type span struct{ from, to int }

// Batch is packets copied one behind the other.
type Batch struct {
	Records []Record
	bytes   []byte
	lengths []int // of wire packets
	room    int   // bytes that a batch may take in all
}

// NewBatch returns an empty batch for so many bytes, the records' own size included.
func NewBatch(room int) *Batch { return &Batch{room: room} }

// Reset empties the batch; its memory is used again.
func (b *Batch) Reset() { b.Records, b.bytes, b.lengths = b.Records[:0], b.bytes[:0], b.lengths[:0] }

// Data returns the bytes that were copied of a packet, valid until Reset.
func (b *Batch) Data(r *Record) []byte { return b.bytes[r.data.from:r.data.to] }

// HasWire reports whether the packets that r was on the wire were copied, all of them.
func (b *Batch) HasWire(r *Record) bool {
	return r.wire.from != r.wire.to && r.wire.to-r.wire.from == r.Merged.Segs
}

// Wire yields the packets that r was on the wire, where HasWire.
func (b *Batch) Wire(r *Record) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		from := r.data.to
		for _, n := range b.lengths[r.wire.from:r.wire.to] {
			if !yield(b.bytes[from : from+n]) {
				return
			}
			from += n
		}
	}
}

// WriteTo writes a packet to a capture, or the packets that it was on the wire where they were copied.
func (b *Batch) WriteTo(f *capture.Files, r *Record) error {
	at := time.Unix(0, r.At)
	if !b.HasWire(r) {
		return f.Write(at, b.Data(r), r.Length, r.Queue, r.Merged)
	}
	for data := range b.Wire(r) {
		length := len(data)
		if r.Merged.Segs == 1 {
			length = r.Length // of a packet that a file had cut off, all of it
		}
		if err := f.Write(at, data, length, r.Queue, capture.Merged{}); err != nil {
			return err
		}
	}
	return nil
}

// recordCost is what a record itself takes of a batch's room, about.
const recordCost = 128

// Delivered is a packet as a consumer gets it: off an interface (xrx.Packet) or out of a file.
type Delivered interface {
	Data() []byte
	Len() int
	Count() int
	GSOSize() int
	IsChain() bool
	Checksum() umem.Csum
	Segments() iter.Seq[[]byte]
	ResegmentWith(*xrx.Splitter) iter.Seq[[][]byte]
}

// Add copies a packet; r comes with what only the caller knows. tag is the VLAN tag that the device took out of the
// packet, type and TCI, and is put back; 0 is none. False: there is no room.
func Add[P Delivered](b *Batch, k Keep, s *xrx.Splitter, p P, r Record, tag uint32) bool {
	limit := p.Len()
	if r.Csum = p.Checksum(); !k.Whole && r.Csum != umem.CsumUnknown { // where nobody looked, output verifies
		limit = min(limit, HeadBytes)
	}
	need := limit
	if k.Wire {
		need += p.Len() + p.Count()*256 // each has up to 255 bytes of headers and a tag of its own
	}
	if b.used()+need+recordCost > b.room {
		return false
	}
	r.Merged = capture.Merged{Segs: p.Count(), GSOSize: p.GSOSize()}
	r.Length = max(r.Length, p.Len())
	r.data.from = len(b.bytes)
	if p.IsChain() {
		b.bytes = appendChain(b.bytes, p, limit)
	} else {
		b.bytes = append(b.bytes, p.Data()[:limit]...)
	}
	if tag != 0 && b.retag(r.data.from, tag) {
		r.Length += 4
	}
	r.data.to, r.wire.from = len(b.bytes), len(b.lengths)
	if k.Wire {
		addWire(b, s, p, tag)
	}
	r.wire.to = len(b.lengths)
	b.Records = append(b.Records, r)
	return true
}

// used is how much of the room is taken, in bytes.
func (b *Batch) used() int { return len(b.bytes) + len(b.Records)*recordCost + len(b.lengths)*8 }

// appendChain copies up to limit bytes of a packet in several frames.
func appendChain[P Delivered](dst []byte, p P, limit int) []byte {
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
func addWire[P Delivered](b *Batch, s *xrx.Splitter, p P, tag uint32) {
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
func (b *Batch) retag(at int, tag uint32) bool {
	if len(b.bytes) < at+12 {
		return false
	}
	b.bytes = append(b.bytes, 0, 0, 0, 0)
	copy(b.bytes[at+16:], b.bytes[at+12:])
	binary.BigEndian.PutUint32(b.bytes[at+12:], tag)
	return true
}

// StrippedTag returns the tag that the device took out of a packet, 0 if it did not.
func StrippedTag(m xrx.Meta) uint32 {
	switch {
	case m.Flags&umem.VLANHW == 0:
		return 0
	case m.Flags&umem.VLANAD != 0:
		return 0x88a8<<16 | uint32(m.VLANTCI)
	}
	return 0x8100<<16 | uint32(m.VLANTCI)
}
