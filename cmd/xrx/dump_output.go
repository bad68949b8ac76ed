package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"time"

	"xrx/internal/capture"
	"xrx/internal/decode"
	"xrx/umem"
)

// dumpOutput prints packets and writes them to a file. One goroutine uses it. After the first error, and after the last
// packet that was asked for, it takes packets and does nothing.
type dumpOutput struct {
	o    *dumpOptions
	text *bufio.Writer
	pcap *capture.Writer // nil: no -w
	file *os.File        // nil: none, or standard output
	stop func()          // called when no more packets are wanted

	shown uint64 // packets that were printed or written
	done  bool
	err   error

	packet decode.Packet
	line   []byte
}

func newDumpOutput(stdout io.Writer, o *dumpOptions, stop func()) *dumpOutput {
	return &dumpOutput{o: o, text: bufio.NewWriterSize(stdout, 1<<16), stop: stop}
}

// show prints and writes one packet of a batch.
func (out *dumpOutput) show(b *batch, r *record) {
	if out.done {
		return
	}
	if out.o.lines() {
		out.print(b, r)
	}
	if out.pcap != nil {
		out.write(b, r)
	}
	out.shown++
	if out.shown == out.o.count || out.err != nil {
		out.done = true
		out.stop()
	}
}

func (out *dumpOutput) print(b *batch, r *record) {
	p := &out.packet
	p.Decode(b.bytes[r.data.from:r.data.to], r.length)
	info := decode.Info{Time: time.Unix(0, r.at), Queue: r.queue, Hash: r.hash, Segs: r.merged.Segs, GSOSize: r.merged.GSOSize,
		Checksum: checksum(r.csum, p), Captured: r.captured}
	if out.o.json {
		out.line = p.AppendJSON(out.line[:0], &info)
	} else {
		out.line = p.AppendLine(out.line[:0], &info, out.o.link)
	}
	_, err := out.text.Write(out.line)
	out.fail(err)
}

// checksum is what the engine found; where it did not look, what is found now. It says nothing about the IPv4 header's.
func checksum(c umem.Csum, p *decode.Packet) decode.Checksum {
	switch {
	case c == umem.CsumUnknown:
		return p.Verify()
	case c == umem.CsumBad || p.BadHeader():
		return decode.Bad
	case c == umem.CsumPartial:
		return decode.Partial
	case c == umem.CsumNone:
		return decode.NoSum
	}
	return decode.OK
}

// write writes a packet to the file, or the packets that it was on the wire.
func (out *dumpOutput) write(b *batch, r *record) {
	at, from := time.Unix(0, r.at), r.data.to
	if r.wire.from == r.wire.to || r.wire.to-r.wire.from != r.merged.Segs {
		out.fail(out.pcap.Write(at, b.bytes[r.data.from:r.data.to], r.length, r.queue, r.merged))
		return
	}
	for _, n := range b.lengths[r.wire.from:r.wire.to] {
		length := n
		if r.merged.Segs == 1 {
			length = r.length
		}
		out.fail(out.pcap.Write(at, b.bytes[from:from+n], length, r.queue, capture.Merged{}))
		from += n
	}
}

func (out *dumpOutput) fail(err error) {
	if out.err == nil {
		out.err = err
	}
}

// flush writes what was gathered, so that whoever reads along sees it.
func (out *dumpOutput) flush() {
	if out.err != nil {
		return
	}
	out.fail(out.text.Flush())
	if out.pcap != nil {
		out.fail(out.pcap.Flush())
	}
	if out.err != nil && !out.done {
		out.done = true
		out.stop()
	}
}

// close ends the file, with what was received and lost on the interface, and returns the first error of all.
func (out *dumpOutput) close(began, ended time.Time, received, lost uint64) error {
	out.flush()
	if out.pcap != nil && out.err == nil {
		out.fail(out.pcap.Close(began, ended, received, lost))
	}
	return errors.Join(out.err, out.closeFile())
}

func (out *dumpOutput) closeFile() error {
	if out.file == nil {
		return nil
	}
	return out.file.Close()
}
