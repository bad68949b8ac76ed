package capture

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// writeBuffer is how many bytes are gathered for one write to the file.
const writeBuffer = 256 << 10

// Info describes a capture, for the section header and the interface description of the file.
type Info struct {
	Iface   string // interface name
	Comment string // about the interface; "" = none
	Program string // what wrote the file: "xrx v1.2"
}

// Writer writes one pcapng section with one Ethernet interface and nanosecond timestamps
// (draft-ietf-opsawg-pcapng, sections 4.1 to 4.3). It is used by one goroutine.
type Writer struct {
	ng       *pcapgo.NgWriter
	buf      *bufio.Writer // what ng writes into, too
	queue    uint32        // of the packet being written: pcapgo wants a pointer
	comments [1]string
	written  uint64 // packets
}

// NewWriter writes the headers to w.
func NewWriter(w io.Writer, info Info) (*Writer, error) {
	system := operatingSystem()
	buf := bufio.NewWriterSize(w, writeBuffer) // pcapgo's own bufio.NewWriter returns it as it is
	ng, err := pcapgo.NewNgWriterInterface(buf, pcapgo.NgInterface{
		Name: info.Iface, Comment: info.Comment, OS: system, LinkType: layers.LinkTypeEthernet, TimestampResolution: 9,
	}, pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Hardware: runtime.GOARCH, OS: system, Application: info.Program}})
	if err != nil {
		return nil, fmt.Errorf("write capture: %w", err)
	}
	return &Writer{ng: ng, buf: buf}, nil
}

// operatingSystem is "Linux 6.18.44": what uname -sr says (proc(5), /proc/sys/kernel).
func operatingSystem() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return "Linux " + strings.TrimSpace(string(release))
}

// Write appends a packet of length bytes on the wire, of which data was captured, that arrived on an rx queue. merged
// is noted where segs is above 1 (see Merged).
func (w *Writer) Write(at time.Time, data []byte, length int, queue int, merged Merged) error {
	w.queue = uint32(queue)
	options := pcapgo.NgPacketOptions{Queue: &w.queue}
	if merged.Segs > 1 {
		w.comments[0] = merged.String()
		options.Comments = w.comments[:]
	}
	ci := gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(data), Length: max(length, len(data))}
	if err := w.ng.WritePacketWithOptions(ci, data, options); err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	w.written++
	return nil
}

// Close writes the interface's statistics and what was gathered. It does not close the file.
func (w *Writer) Close(s Statistics) error {
	s.written = w.written
	if _, err := w.buf.Write(s.block()); err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	return w.Flush()
}

// Flush writes what was gathered.
func (w *Writer) Flush() error {
	if err := w.ng.Flush(); err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	return nil
}
