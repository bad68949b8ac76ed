package capture

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// MaxPacket is the longest packet that is read: libpcap's MAXIMUM_SNAPLEN. What claims to be longer is a broken file.
const MaxPacket = 262144

// ErrFormat says that a file is neither pcapng nor pcap.
var ErrFormat = errors.New("not a capture file (pcapng or pcap, as they are or gzipped)")

// ErrLink says that a file has packets of another link type than Ethernet.
var ErrLink = errors.New("only Ethernet captures can be replayed")

// Packet is one packet of a file.
type Packet struct {
	Time   time.Time // when it was captured; that of the packet before where the file has none (Simple Packet Block)
	Data   []byte    // valid until the next call of Next
	Length int       // bytes on the wire; above len(Data) when the capture cut the packet off
	Queue  int       // rx queue, 0 where the file does not say
	Merged Merged    // what GRO had made of it, the zero value where the file does not say
}

// Reader reads a file packet by packet. It is used by one goroutine.
type Reader struct {
	next  func() ([]byte, gopacket.CaptureInfo, pcapgo.NgPacketOptions, error)
	iface func() string
	count uint64
	last  time.Time
	file  *measured
}

// Open opens a file. Close it.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	m := &measured{File: f}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		m.size = info.Size()
	}
	r, err := NewReader(m)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r.file, m.reader = m, r
	return r, nil
}

// Close closes the file that Open opened.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// NewReader recognises the format by the first bytes of in and reads the headers.
func NewReader(in io.Reader) (*Reader, error) {
	b := bufio.NewReaderSize(in, 1<<16)
	if head, _ := b.Peek(2); len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrFormat, err)
		}
		b = bufio.NewReaderSize(z, 1<<16)
	}
	magic, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err // the file can't be read: a directory, an I/O error
	}
	switch {
	case len(magic) < 4:
		return nil, ErrFormat
	case bytes.Equal(magic, []byte{0x0a, 0x0d, 0x0d, 0x0a}):
		return openNg(b)
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if m := order.Uint32(magic); m == 0xa1b2c3d4 || m == 0xa1b23c4d {
			return openPcap(b)
		}
	}
	return nil, ErrFormat
}

func openPcap(b *bufio.Reader) (*Reader, error) {
	p, err := pcapgo.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrFormat, err)
	}
	if err := ethernet(p.LinkType()); err != nil {
		return nil, err
	}
	return &Reader{iface: func() string { return "" }, next: func() (data []byte, ci gopacket.CaptureInfo, o pcapgo.NgPacketOptions, err error) {
		data, ci, err = p.ZeroCopyReadPacketData()
		if errors.Is(err, io.EOF) && ci.CaptureLength > 0 { // after the packet's header
			err = io.ErrUnexpectedEOF
		}
		return data, ci, o, err
	}}, nil
}

func openNg(b *bufio.Reader) (*Reader, error) {
	p, err := pcapgo.NewNgReader(b, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrFormat, err)
	}
	r := &Reader{next: func() ([]byte, gopacket.CaptureInfo, pcapgo.NgPacketOptions, error) {
		data, ci, o, err := p.ZeroCopyReadPacketDataWithOptions()
		if err == nil {
			link, _ := ci.AncillaryData[0].(layers.LinkType)
			err = ethernet(link)
		}
		return data, ci, o, err
	}}
	r.iface = func() string {
		if i, err := p.Interface(0); err == nil {
			return i.Name
		}
		return ""
	}
	return r, nil
}

func ethernet(link layers.LinkType) error {
	if link == layers.LinkTypeEthernet {
		return nil
	}
	name := link.String()
	if name == "" {
		name = "unknown"
	}
	return fmt.Errorf("link type %s (%d): %w", name, uint16(link), ErrLink)
}

// Iface returns the name of the first interface of a pcapng file, once a packet was read; "" where there is none.
func (r *Reader) Iface() string { return r.iface() }

// Next returns the next packet, io.EOF after the last one. A file that ends in the middle of a packet, or goes on with
// something else, gives an error that says after how many packets.
func (r *Reader) Next() (Packet, error) {
	data, ci, options, err := r.next()
	switch {
	case errors.Is(err, io.EOF):
		return Packet{}, io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Packet{}, fmt.Errorf("the capture file is cut off after %d packets", r.count)
	case errors.Is(err, ErrLink):
		return Packet{}, fmt.Errorf("packet %d: %w", r.count+1, err)
	case err != nil:
		return Packet{}, fmt.Errorf("the capture file is broken after %d packets: %w", r.count, err)
	case len(data) > MaxPacket:
		return Packet{}, fmt.Errorf("the capture file is broken after %d packets: a packet of %d bytes", r.count, len(data))
	}
	r.count++
	p := Packet{Time: ci.Timestamp, Data: data, Length: max(ci.Length, len(data))}
	if p.Time.IsZero() {
		p.Time = r.last
	}
	r.last = p.Time
	if options.Queue != nil {
		p.Queue = int(min(*options.Queue, 1<<16-1))
	}
	for _, c := range options.Comments {
		if m := parseMerged(c); m.Segs != 0 {
			p.Merged = m
		}
	}
	return p, nil
}
