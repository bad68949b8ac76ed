package main

import (
	"bufio"
	"errors"
	"io"
	"time"

	"xrx/internal/backlog"
	"xrx/internal/capture"
	"xrx/internal/decode"
	"xrx/umem"
)

// dumpOutput prints packets and writes them to a file. One goroutine uses it. After the first error, and after the last
// packet that was asked for, it takes packets and does nothing.
type dumpOutput struct {
	o     *dumpOptions
	text  *bufio.Writer
	pcap  *capture.Files // nil: no -w
	stop  func()         // called when no more packets are wanted
	swept bool           // nothing was shown since the last flush

	shown uint64 // packets that were printed or written
	done  bool
	err   error

	packet decode.Packet
	line   []byte
}

func newDumpOutput(stdout io.Writer, o *dumpOptions, stop func()) *dumpOutput {
	return &dumpOutput{o: o, text: bufio.NewWriterSize(stdout, 1<<16), stop: stop, swept: true}
}

// Show prints and writes one packet of a batch.
func (out *dumpOutput) Show(b *backlog.Batch, r *backlog.Record) {
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

func (out *dumpOutput) print(b *backlog.Batch, r *backlog.Record) {
	p := &out.packet
	p.Decode(b.Data(r), r.Length)
	info := decode.Info{Time: time.Unix(0, r.At), Queue: r.Queue, Hash: r.Hash, Segs: r.Merged.Segs, GSOSize: r.Merged.GSOSize,
		Checksum: checksum(r.Csum, p), Captured: r.Captured}
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
func (out *dumpOutput) write(b *backlog.Batch, r *backlog.Record) {
	at := time.Unix(0, r.At)
	if out.o.read != "" {
		out.fail(out.pcap.Advance(at)) // in a replay the time is the packets'
	} else if out.swept {
		out.fail(out.pcap.Advance(time.Now()))
	}
	out.swept = false
	out.fail(b.WriteTo(out.pcap, r))
}

func (out *dumpOutput) fail(err error) {
	if out.err == nil {
		out.err = err
	}
}

// Flush writes what was gathered, so that whoever reads along sees it.
func (out *dumpOutput) Flush() {
	if out.err != nil {
		return
	}
	out.swept = true
	out.fail(out.text.Flush())
	if out.pcap != nil {
		out.fail(out.pcap.Flush())
	}
	if out.err != nil && !out.done {
		out.done = true
		out.stop()
	}
}

// close ends the file and returns the first error of all.
func (out *dumpOutput) close(ended time.Time) error {
	out.Flush()
	if out.pcap == nil {
		return out.err
	}
	if out.err != nil {
		return errors.Join(out.err, out.pcap.Abandon())
	}
	return out.pcap.Close(ended)
}
