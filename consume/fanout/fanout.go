package fanout

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"xrx"
	"xrx/internal/backlog"
)

// Mode says which writer gets a packet.
type Mode uint8

const (
	Hash       Mode = iota // by flow: PACKET_FANOUT_HASH; what has no flow hash goes to the first
	RoundRobin             // in turn: PACKET_FANOUT_LB
	Queue                  // by rx queue: PACKET_FANOUT_QM
	All                    // every packet to every writer
)

// Format says how a packet is written.
type Format uint8

const (
	Frames Format = iota // 4 bytes of length, big endian, then the frame from the Ethernet header on
	Pcap                 // pcap with nanoseconds: file header, then records (draft-ietf-opsawg-pcap)
)

// Config says what is written. nil, and the zero value of every field, mean the documented default.
type Config struct {
	Mode    Mode   // default Hash
	Format  Format // default Frames
	Wire    bool   // packets as they were on the wire; default: as they were merged, up to 64 KiB and headers
	Backlog int    // bytes per writer and queue that may wait; default 8 MiB
}

// Fanout writes packets. Any number of goroutines may use it.
type Fanout struct {
	mode    Mode
	turn    atomic.Uint64
	writers []*writer
	lanes   []*backlog.Lanes
	close   sync.Once
}

// Stats is what became of one writer's packets: as written where written, on the wire where dropped.
type Stats struct {
	Written uint64            // handed to the writer
	Bytes   uint64            // the same, with lengths and headers of the format
	Drops   map[string]uint64 // "backlog": it was too slow; "write": it failed
	Err     error             // why it failed; nil: it did not
}

// New starts a goroutine for each writer. Close it. Writers are not closed.
func New(writers []io.Writer, cfg *Config) (*Fanout, error) {
	var c Config
	if cfg != nil {
		c = *cfg
	}
	if c.Backlog == 0 {
		c.Backlog = 8 << 20
	}
	switch {
	case len(writers) == 0 || len(writers) > 1<<12:
		return nil, fmt.Errorf("fanout: %d writers: want 1 to %d", len(writers), 1<<12)
	case c.Mode > All:
		return nil, fmt.Errorf("fanout: unknown mode %d", c.Mode)
	case c.Format > Pcap:
		return nil, fmt.Errorf("fanout: unknown format %d", c.Format)
	case c.Backlog < 1<<18:
		return nil, fmt.Errorf("fanout: a backlog of %d bytes: want at least %d, for two merged packets", c.Backlog, 1<<18)
	}
	f := &Fanout{mode: c.Mode}
	for _, out := range writers {
		w := newWriter(out, c.Format)
		f.writers = append(f.writers, w)
		f.lanes = append(f.lanes, backlog.New(w, backlog.Keep{Whole: !c.Wire, Wire: c.Wire}, c.Backlog))
	}
	return f, nil
}

// Take writes packets of one queue and releases them: an xrx.BatchHandler. It waits for no writer.
func (f *Fanout) Take(packets []xrx.Packet) {
	f.Copy(packets)
	xrx.Release(packets)
}

// Copy writes packets of one queue and leaves them to the caller. It waits for no writer.
func (f *Fanout) Copy(packets []xrx.Packet) {
	const most = 64
	for len(packets) > 0 {
		part := packets[:min(most, len(packets))]
		packets = packets[len(part):]
		if f.mode == All || len(f.lanes) == 1 {
			for _, l := range f.lanes {
				l.Copy(part)
			}
			continue
		}
		var chosen [most]uint16
		var any uint64 // a bit for each of the first 64 writers: most batches leave some out
		f.choose(part, chosen[:], &any)
		for i, l := range f.lanes {
			if i >= 64 || any>>i&1 != 0 {
				l.CopyIf(part, chosen[:len(part)], uint16(i))
			}
		}
	}
}

// choose notes for each packet which writer gets it.
func (f *Fanout) choose(packets []xrx.Packet, chosen []uint16, any *uint64) {
	n := uint64(len(f.writers))
	turn := uint64(0)
	if f.mode == RoundRobin {
		turn = f.turn.Add(uint64(len(packets))) - uint64(len(packets))
	}
	for i, p := range packets {
		var to uint64
		switch f.mode {
		case Hash:
			to = uint64(p.Meta().Hash) * n >> 32
		case RoundRobin:
			to = (turn + uint64(i)) % n
		case Queue:
			to = uint64(p.Queue()) % n
		}
		chosen[i] = uint16(to)
		*any |= 1 << (to & 63)
	}
}

// Stats returns what became of each writer's packets, in the order of New. It may be called at any time.
func (f *Fanout) Stats() (list []Stats) {
	for i, w := range f.writers {
		s := w.stats()
		if d := f.lanes[i].Dropped().Wire; d > 0 {
			s.Drops["backlog"] = d
		}
		list = append(list, s)
	}
	return list
}

// Close writes what waits, however long the writers take for it, and returns what failed. Packets that come later are
// dropped.
func (f *Fanout) Close() error {
	f.close.Do(func() {
		for i, l := range f.lanes {
			l.Finish()
			f.writers[i].end()
		}
	})
	var errs []error
	for i, s := range f.Stats() {
		if s.Err != nil {
			errs = append(errs, fmt.Errorf("fanout: writer %d: %w", i, s.Err))
		}
	}
	return errors.Join(errs...)
}
