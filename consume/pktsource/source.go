package pktsource

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"xrx"
	"xrx/internal/inbox"
	"xrx/umem"
)

// Config says how packets wait. nil, and the zero value of every field, mean the documented default.
type Config struct {
	Backlog        int  // frames that may wait for the reader; default 1024, a quarter of a queue's default
	Wire           bool // packets as they were on the wire; default: as they were merged
	InterfaceIndex int  // for CaptureInfo.InterfaceIndex; default 0
}

// Info is what a receiver knows beside the bytes. CaptureInfo.AncillaryData[0] is an *Info, after ZeroCopyReadPacketData
// valid until the next read.
type Info struct {
	Queue    int       // rx queue
	Hash     uint32    // flow hash; 0: none
	VLAN     uint16    // outermost tag's TCI, with HasVLAN
	HasVLAN  bool      //
	Stripped bool      // the device took the tag out of the bytes
	Segments int       // packets on the wire that this one stands for
	GSOSize  int       // layer 4 payload of each of them but the last; 0: one packet
	Checksum umem.Csum // what is known about the layer 4 checksum
	Hardware bool      // the timestamp is the device's
}

// Source is a source of packets. Reads are for one goroutine, the rest for any.
type Source struct {
	cfg Config
	box *inbox.Inbox

	mu      sync.Mutex // reads, against Close
	current inbox.Item // with held: its bytes are the reader's until the next read
	held    bool
	split   xrx.Splitter
	buf     []byte // a packet of several frames, or the packets that it was on the wire
	wire    []int  // ends in buf of packets on the wire that have not been read
	next    int    // of wire
	from    int    // where the next one starts in buf
	ci      gopacket.CaptureInfo
	info    Info
	any     [1]any
}

var (
	_ gopacket.PacketDataSource         = (*Source)(nil)
	_ gopacket.ZeroCopyPacketDataSource = (*Source)(nil)
)

// New returns a source without packets: give Take to a receiver, or call Run.
func New(cfg *Config) (*Source, error) {
	s := &Source{}
	if cfg != nil {
		s.cfg = *cfg
	}
	if s.cfg.Backlog == 0 {
		s.cfg.Backlog = 1024
	}
	var err error
	if s.box, err = inbox.New(s.cfg.Backlog); err != nil {
		return nil, fmt.Errorf("pktsource: %w", err)
	}
	s.any[0] = &s.info
	return s, nil
}

// Take keeps packets until they are read: an xrx.BatchHandler. It waits for nobody.
func (s *Source) Take(packets []xrx.Packet) { s.box.Put(packets, time.Now().UnixNano()) }

// Run runs a receiver whose packets are read here, until ctx is done; then reads give what waits, and io.EOF.
func (s *Source) Run(ctx context.Context, r *xrx.Receiver) error {
	defer s.End()
	return r.Run(ctx, xrx.BatchHandler(s.Take))
}

// End says that no more packets come: reads give what waits, and then io.EOF.
func (s *Source) End() { s.box.End() }

// Close is End, and releases everything: what waits, and the packet that was read last. After it, or after a read that
// returned io.EOF, the source holds no packet.
func (s *Source) Close() error {
	s.box.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release()
	return nil
}

// Dropped returns how many packets on the wire were dropped because the reader was too slow.
func (s *Source) Dropped() uint64 { return s.box.Dropped() }

// LinkType is what gopacket.NewPacketSource wants to know.
func (s *Source) LinkType() layers.LinkType { return layers.LinkTypeEthernet }

// ReadPacketData returns the next packet, in memory of its own. It waits for one; io.EOF is the end.
func (s *Source) ReadPacketData() ([]byte, gopacket.CaptureInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ci, err := s.read()
	if err != nil {
		return nil, ci, err
	}
	info := s.info
	ci.AncillaryData = []any{&info}
	data = append(make([]byte, 0, len(data)), data...)
	if s.wireLeft() == 0 {
		s.release() // copied: its frames can go home
	}
	return data, ci, nil
}

// ZeroCopyReadPacketData returns the next packet where it lies: valid until the next read. It waits for one; io.EOF is
// the end.
func (s *Source) ZeroCopyReadPacketData() ([]byte, gopacket.CaptureInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read()
}

func (s *Source) wireLeft() int { return len(s.wire) - s.next }

// read returns the next packet, after the one before was released.
func (s *Source) read() (data []byte, ci gopacket.CaptureInfo, err error) {
	if s.wireLeft() > 0 {
		return s.nextOnWire()
	}
	s.release()
	it, err := s.box.Get(nil)
	if err != nil {
		return nil, gopacket.CaptureInfo{}, err
	}
	s.current, s.held = it, true
	s.describe(it)
	switch {
	case !it.IsChain():
		data = it.Data()
	case it.Count() > 1 && (s.cfg.Wire || it.IsList()): // a list is several packets, not one
		s.takeApart(it.Packet)
		return s.nextOnWire()
	default:
		s.buf = it.Bytes(s.buf[:0])
		data = s.buf
	}
	return data, s.capture(len(data)), nil
}

// describe notes what is known of a packet.
func (s *Source) describe(it inbox.Item) {
	m := it.Meta()
	s.info = Info{Queue: it.Queue(), Hash: m.Hash, VLAN: m.VLANTCI, HasVLAN: m.Flags&(umem.VLANHW|umem.VLANInBand) != 0,
		Stripped: m.Flags&umem.VLANHW != 0, Segments: it.Count(), GSOSize: it.GSOSize(), Checksum: it.Checksum()}
	at := it.At
	if m.Timestamp != 0 {
		at, s.info.Hardware = int64(m.Timestamp), true
	}
	s.ci = gopacket.CaptureInfo{Timestamp: time.Unix(0, at), InterfaceIndex: s.cfg.InterfaceIndex, AncillaryData: s.any[:]}
}

func (s *Source) capture(n int) gopacket.CaptureInfo {
	s.ci.CaptureLength, s.ci.Length = n, n
	return s.ci
}

// takeApart copies the packets that p was on the wire.
func (s *Source) takeApart(p xrx.Packet) {
	s.buf, s.wire, s.next, s.from = s.buf[:0], s.wire[:0], 0, 0
	for parts := range p.ResegmentWith(&s.split) {
		for _, b := range parts {
			s.buf = append(s.buf, b...)
		}
		s.wire = append(s.wire, len(s.buf))
	}
	s.info.Segments, s.info.GSOSize = 1, 0
	if s.info.Checksum == umem.CsumFinished {
		s.info.Checksum = umem.CsumOK // each was verified before it was merged
	}
}

func (s *Source) nextOnWire() ([]byte, gopacket.CaptureInfo, error) {
	data := s.buf[s.from:s.wire[s.next]:s.wire[s.next]]
	s.from = s.wire[s.next]
	s.next++
	return data, s.capture(len(data)), nil
}

func (s *Source) release() {
	if s.held {
		s.current.Release()
		s.current, s.held = inbox.Item{}, false
	}
	s.wire, s.next = s.wire[:0], 0
}
