package fanout

import (
	"bufio"
	"encoding/binary"
	"io"
	"sync"

	"xrx/internal/backlog"
)

// writer is one io.Writer and what its goroutine knows.
type writer struct {
	format Format
	buf    *bufio.Writer
	header [24]byte
	began  bool   // the file header is written
	packs  uint64 // since the last flush, as written
	bytes  uint64
	wire   uint64 // the same as packets on the wire

	mu sync.Mutex
	n  Stats
	no uint64 // dropped because it failed
}

func newWriter(out io.Writer, format Format) *writer {
	return &writer{format: format, buf: bufio.NewWriterSize(out, 1<<16)}
}

func (w *writer) stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.n
	s.Drops = map[string]uint64{}
	if w.no > 0 {
		s.Drops["write"] = w.no
	}
	return s
}

// Show writes one packet. bufio remembers an error: Flush finds it.
func (w *writer) Show(b *backlog.Batch, r *backlog.Record) {
	w.begin()
	w.wire += uint64(r.Merged.Segs)
	if !b.HasWire(r) {
		w.packet(r.At, b.Data(r))
		return
	}
	for data := range b.Wire(r) {
		w.packet(r.At, data)
	}
}

// begin writes what comes before the first packet.
func (w *writer) begin() {
	if w.began || w.format != Pcap {
		return
	}
	w.began = true
	le := binary.LittleEndian
	h := w.header[:24]
	clear(h)
	le.PutUint32(h, 0xa1b23c4d) // nanoseconds
	le.PutUint16(h[4:], 2)
	le.PutUint16(h[6:], 4)
	le.PutUint32(h[16:], 262144) // snaplen
	le.PutUint32(h[20:], 1)      // LINKTYPE_ETHERNET
	w.put(h)
}

func (w *writer) packet(at int64, data []byte) {
	if w.format == Pcap {
		le, h := binary.LittleEndian, w.header[:16]
		le.PutUint32(h, uint32(at/1e9))
		le.PutUint32(h[4:], uint32(at%1e9))
		le.PutUint32(h[8:], uint32(len(data)))
		le.PutUint32(h[12:], uint32(len(data)))
		w.put(h)
	} else {
		binary.BigEndian.PutUint32(w.header[:4], uint32(len(data)))
		w.put(w.header[:4])
	}
	w.put(data)
	w.packs++
}

func (w *writer) put(b []byte) {
	w.buf.Write(b)
	w.bytes += uint64(len(b))
}

// Flush hands everything to the io.Writer.
func (w *writer) Flush() {
	err := w.buf.Flush()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.n.Err = err
		w.no += w.wire
	} else {
		w.n.Written += w.packs
		w.n.Bytes += w.bytes
	}
	w.packs, w.bytes, w.wire = 0, 0, 0
}

// end is called when its goroutine has ended: a stream without packets has its header all the same.
func (w *writer) end() {
	w.begin()
	w.Flush()
}
