package capture

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

var t0 = time.Unix(1_700_000_000, 123_456_789).UTC()

// sample is a packet of n bytes that says its own number.
func sample(i, n int) []byte {
	b := make([]byte, n)
	for j := range b {
		b[j] = byte(i + j*3)
	}
	return b
}

// write makes a pcapng file with this package's writer.
func write(t *testing.T, packets []Packet) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := NewWriter(&file, Info{Iface: "eth7", Comment: "a test", Program: "xrx test"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		if err := w.Write(p.Time, p.Data, p.Length, p.Queue, p.Merged); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(Statistics{Began: t0, Ended: t0.Add(time.Minute), Counts: Counts{Received: 1000, Kernel: 4, Xrx: 2, Output: 1}}); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// read reads all packets, with copies of their bytes.
func read(in []byte) (packets []Packet, err error) {
	r, err := NewReader(bytes.NewReader(in))
	if err != nil {
		return nil, err
	}
	for {
		p, err := r.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return packets, err
		}
		p.Data = bytes.Clone(p.Data)
		packets = append(packets, p)
	}
}

func samples() (packets []Packet) {
	for i, n := range []int{60, 61, 62, 63, 1514, 65549} {
		packets = append(packets, Packet{Time: t0.Add(time.Duration(i) * 1001), Data: sample(i, n), Length: n, Queue: i % 3})
	}
	packets[1].Length = 9000 // cut off
	packets[5].Merged = Merged{45, 1448}
	return packets
}

func equal(a, b Packet) bool {
	return a.Time.Equal(b.Time) && bytes.Equal(a.Data, b.Data) && a.Length == b.Length && a.Queue == b.Queue && a.Merged == b.Merged
}

func TestWhatWasWrittenIsReadBack(t *testing.T) {
	want := samples()
	got, err := read(write(t, want))
	if err != nil || !slices.EqualFunc(got, want, equal) {
		t.Errorf("read back %v, %v", got, err)
	}
}

func TestAnotherReaderFindsPacketsInterfaceAndComments(t *testing.T) {
	want := samples()
	var stats pcapgo.NgInterfaceStatistics
	r, err := pcapgo.NewNgReader(bytes.NewReader(write(t, want)), pcapgo.NgReaderOptions{
		StatisticsCallback: func(_ int, s pcapgo.NgInterfaceStatistics) { stats = s }})
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		data, ci, options, err := r.ReadPacketDataWithOptions()
		if err != nil || !bytes.Equal(data, w.Data) || !ci.Timestamp.Equal(w.Time) || ci.Length != w.Length {
			t.Errorf("packet %d: %d bytes, %+v, %v", i, len(data), ci, err)
		}
		var comments []string
		if w.Merged.Segs > 0 {
			comments = []string{"xrx: segs=45 gso=1448"}
		}
		if !slices.Equal(options.Comments, comments) || options.Queue == nil || int(*options.Queue) != w.Queue {
			t.Errorf("packet %d: options %+v", i, options)
		}
	}
	if _, _, err := r.ReadPacketData(); err != io.EOF {
		t.Errorf("after the last packet: %v", err)
	}
	iface, err := r.Interface(0)
	if err != nil || iface.Name != "eth7" || iface.Comment != "a test" || iface.TimestampResolution != 9 || !strings.HasPrefix(iface.OS, "Linux ") {
		t.Errorf("interface %+v, %v", iface, err)
	}
	if s := r.SectionInfo(); s.Application != "xrx test" || s.Hardware == "" || s.OS != iface.OS {
		t.Errorf("section %+v", s)
	}
	if stats.PacketsReceived != 1004 || stats.PacketsDropped != 7 {
		t.Errorf("statistics %+v", stats)
	}
}

// classic makes a pcap file header and records, with times in units of a second's fraction.
func classic(order binary.AppendByteOrder, magic uint32, link uint32, unit time.Duration, packets []Packet) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	b = order.AppendUint64(b, 0)
	b = order.AppendUint32(b, 262144)
	b = order.AppendUint32(b, link)
	for _, p := range packets {
		b = order.AppendUint32(b, uint32(p.Time.Unix()))
		b = order.AppendUint32(b, uint32(p.Time.Nanosecond()/int(unit)))
		b = order.AppendUint32(b, uint32(len(p.Data)))
		b = order.AppendUint32(b, uint32(p.Length))
		b = append(b, p.Data...)
	}
	return b
}

func TestPcapFilesOfEitherByteOrderAndResolutionAreRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		order binary.AppendByteOrder
		magic uint32
		unit  time.Duration
		gzip  bool
	}{
		{"microseconds, little endian", binary.LittleEndian, 0xa1b2c3d4, time.Microsecond, false},
		{"microseconds, big endian", binary.BigEndian, 0xa1b2c3d4, time.Microsecond, false},
		{"nanoseconds, little endian", binary.LittleEndian, 0xa1b23c4d, time.Nanosecond, false},
		{"nanoseconds, big endian, gzipped", binary.BigEndian, 0xa1b23c4d, time.Nanosecond, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := samples()
			for i := range want {
				want[i].Time = want[i].Time.Truncate(c.unit)
				want[i].Queue, want[i].Merged = 0, Merged{} // pcap has no place for them
			}
			file := classic(c.order, c.magic, 1, c.unit, want)
			if c.gzip {
				var z bytes.Buffer
				w := gzip.NewWriter(&z)
				w.Write(file)
				w.Close()
				file = z.Bytes()
			}
			got, err := read(file)
			if err != nil || !slices.EqualFunc(got, want, equal) {
				t.Errorf("read %v, %v", got, err)
			}
		})
	}
}

func TestFilesThatAreNoEthernetCaptureAreRefusedInWords(t *testing.T) {
	ok := write(t, samples())
	var sll bytes.Buffer
	w, err := pcapgo.NewNgWriter(&sll, layers.LinkTypeLinuxSLL)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: t0, CaptureLength: 4, Length: 4}, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	pcap := classic(binary.LittleEndian, 0xa1b2c3d4, 1, time.Microsecond, samples()[:2])
	huge := classic(binary.LittleEndian, 0xa1b2c3d4, 1, time.Microsecond, nil)
	huge = append(huge, make([]byte, 8)...)
	huge = binary.LittleEndian.AppendUint32(huge, 1<<30)
	huge = binary.LittleEndian.AppendUint32(huge, 1<<30)
	for _, c := range []struct {
		name string
		file []byte
		want string
		is   error
	}{
		{"empty", nil, "not a capture file", ErrFormat},
		{"text", []byte("hello, this is no capture file at all"), "not a capture file", ErrFormat},
		{"two bytes", []byte{0x0a, 0x0d}, "not a capture file", ErrFormat},
		{"gzip of nothing", []byte{0x1f, 0x8b, 8, 0}, "not a capture file", ErrFormat},
		{"pcap header cut off", pcap[:20], "not a capture file", ErrFormat},
		{"pcap of raw IP", classic(binary.LittleEndian, 0xa1b2c3d4, 101, time.Microsecond, nil), "link type Raw (101): only Ethernet", ErrLink},
		{"pcapng of cooked packets", sll.Bytes(), "packet 1: link type Linux SLL (113): only Ethernet", ErrLink},
		{"pcap cut off in a packet", pcap[:len(pcap)-1], "cut off after 1 packets", nil},
		{"pcap cut off behind a packet's header", pcap[:len(pcap)-61], "cut off after 1 packets", nil},
		{"pcap cut off in a packet's header", pcap[:len(pcap)-70], "cut off after 1 packets", nil},
		{"pcapng cut off", ok[:len(ok)-1000], "cut off after 5 packets", nil},
		{"a packet longer than any", huge, "broken after 0 packets", nil},
	} {
		_, err := read(c.file)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestOpenSaysWhichFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "none.pcap")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("directory: %v", err)
	}
	path := filepath.Join(dir, "x.pcapng")
	if err := os.WriteFile(path, write(t, samples()), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil || r.Iface() != "eth7" {
		t.Errorf("interface %q, %v", r.Iface(), err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestOnlyOurOwnCommentsAreUnderstood(t *testing.T) {
	for comment, want := range map[string]Merged{
		"xrx: segs=45 gso=1448":  {45, 1448},
		"xrx: segs=2 gso=1":      {2, 1},
		"xrx: segs=1 gso=1448":   {},
		"xrx: segs=2 gso=0":      {},
		"xrx: segs=-2 gso=9":     {},
		"xrx: segs=70000 gso=9":  {},
		"xrx: segs=4":            {},
		"segs=45 gso=1448":       {},
		"":                       {},
		"xrx: segs=99999999999 ": {},
	} {
		if got := parseMerged(comment); got != want {
			t.Errorf("%q: %+v, want %+v", comment, got, want)
		}
	}
}

// FuzzRead: a file of any bytes gives packets or an error, no panic, no packet beyond the limit, and never more bytes
// than the file has (gzip apart).
func FuzzRead(f *testing.F) {
	var t testing.T
	f.Add(write(&t, samples()[:4]))
	f.Add(classic(binary.LittleEndian, 0xa1b2c3d4, 1, time.Microsecond, samples()[:3]))
	f.Add(classic(binary.BigEndian, 0xa1b23c4d, 1, time.Nanosecond, samples()[:1]))
	f.Add([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, file []byte) {
		packets, _ := read(file)
		sum := 0
		for _, p := range packets {
			if len(p.Data) > MaxPacket || p.Length < len(p.Data) {
				t.Fatalf("packet of %d bytes, %d on the wire", len(p.Data), p.Length)
			}
			sum += len(p.Data)
		}
		if len(file) > 2 && file[0] != 0x1f && sum > len(file) {
			t.Fatalf("%d bytes of packets in a file of %d", sum, len(file))
		}
	})
}
