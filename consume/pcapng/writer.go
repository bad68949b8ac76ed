package pcapng

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"xrx"
	"xrx/internal/backlog"
	"xrx/internal/capture"
	"xrx/stats"
)

// Config says how to write. nil, and the zero value of every field, mean the documented default.
type Config struct {
	RotateSize  int64         // bytes after which a new file begins; default: never
	RotateEvery time.Duration // time after which a new file begins, with the next packets; default: never
	Files       int           // files of a rotation that are kept, the oldest is deleted; default: all

	Wire    bool // packets as they were on the wire; default: as they were merged, with a comment that says so
	Backlog int  // bytes per queue that may wait to be written; default 32 MiB

	Iface, Comment string // for the interface's description
	Program        string // what writes: default "xrx"

	Snapshot func() stats.Snapshot // the receiver's: for what it and the kernel lost; default: unknown, 0
	OnError  func(error)           // called once, by the writing goroutine, when writing failed
}

// Writer writes a capture. Any number of goroutines may use it.
type Writer struct {
	lanes *backlog.Lanes
	began stats.Snapshot

	snapshot func() stats.Snapshot
	onError  func(error)
	sink     sink

	close sync.Once
}

// Stats is what became of the packets: packets on the wire with Config.Wire or in the drops, otherwise as delivered.
type Stats struct {
	Written uint64            // in files
	Drops   map[string]uint64 // on the wire: "backlog": writing was too slow; "write": it failed
	Files   []string          // that are there, the oldest first; the last one is being written
}

// Create opens the first file. With rotation, eth1.pcapng becomes eth1_00001_20060102150405.pcapng and so on, as dumpcap
// names them; no file that exists is overwritten, and only files of this Writer are deleted. Close it.
func Create(path string, cfg *Config) (*Writer, error) {
	var c Config
	if cfg != nil {
		c = *cfg
	}
	if c.Backlog == 0 {
		c.Backlog = 32 << 20
	}
	if c.Backlog < 1<<18 {
		return nil, fmt.Errorf("pcapng: a backlog of %d bytes: want at least %d, for two merged packets", c.Backlog, 1<<18)
	}
	if c.Program == "" {
		c.Program = "xrx"
	}
	w := &Writer{snapshot: c.Snapshot, onError: c.OnError}
	if w.snapshot != nil {
		w.began = w.snapshot()
	}
	files, err := capture.CreateFiles(path, capture.Info{Iface: c.Iface, Comment: c.Comment, Program: c.Program},
		capture.Rotation{Size: c.RotateSize, Every: c.RotateEvery, Files: c.Files}, time.Now(), w.counts)
	if err != nil {
		return nil, fmt.Errorf("pcapng: %w", err)
	}
	w.sink = sink{files: files, onError: c.OnError, names: files.Names()}
	w.lanes = backlog.New(&w.sink, backlog.Keep{Whole: !c.Wire, Wire: c.Wire}, c.Backlog)
	return w, nil
}

// Take writes packets and releases them: an xrx.BatchHandler. It does not wait for the file.
func (w *Writer) Take(packets []xrx.Packet) { w.lanes.Take(packets) }

// Copy writes packets, and leaves them to the caller. It does not wait for the file.
func (w *Writer) Copy(packets []xrx.Packet) { w.lanes.Copy(packets) }

// Stats may be called at any time.
func (w *Writer) Stats() Stats {
	written, failed, names, _ := w.sink.state()
	s := Stats{Written: written, Files: names, Drops: map[string]uint64{}}
	if d := w.lanes.Dropped(); d.Wire > 0 {
		s.Drops["backlog"] = d.Wire
	}
	if failed > 0 {
		s.Drops["write"] = failed
	}
	return s
}

// Err returns why nothing more is written, nil while all is well.
func (w *Writer) Err() error {
	_, _, _, err := w.sink.state()
	return err
}

// Close writes what waits, ends the file and returns the first error of all. Packets that come later are dropped. Close
// before the receiver is closed, so that the file's statistics are whole.
func (w *Writer) Close() error {
	w.close.Do(func() {
		w.lanes.Finish()
		w.sink.end()
	})
	return w.Err()
}

// counts is what a file says at its end.
func (w *Writer) counts() (c capture.Counts) {
	if w.snapshot != nil {
		now := w.snapshot()
		r := stats.NewReport("", "", stats.Mode{}, w.began.At, w.began, now)
		c = capture.Counts{Received: r.Rx.Packets, Kernel: r.Kernel.Lost(), Xrx: r.Dropped() - r.Kernel.Lost()}
	}
	if w.lanes != nil {
		c.Output = w.lanes.Dropped().Wire
	}
	return c
}

// sink is the writing goroutine's half.
type sink struct {
	files   *capture.Files
	onError func(error)
	waiting uint64 // packets written since the last flush
	lost    uint64 // the same as packets on the wire
	begun   bool   // packets were shown since the last flush

	mu      sync.Mutex
	written uint64
	failed  uint64
	names   []string
	err     error
}

func (s *sink) state() (written, failed uint64, names []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written, s.failed, s.names, s.err
}

// Show writes one packet.
func (s *sink) Show(b *backlog.Batch, r *backlog.Record) {
	s.lost += uint64(r.Merged.Segs)
	if s.err != nil { // its only writer is this goroutine
		return
	}
	var err error
	if !s.begun {
		s.begun = true
		err = s.files.Advance(time.Now())
	}
	if err == nil {
		err = b.WriteTo(s.files, r)
	}
	if s.waiting++; b.HasWire(r) {
		s.waiting += uint64(r.Merged.Segs) - 1
	}
	if err != nil {
		s.fail(err)
	}
}

// Flush brings what was written to the file.
func (s *sink) Flush() {
	s.begun = false
	if s.err == nil {
		if err := s.files.Flush(); err != nil {
			s.fail(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		s.failed += s.lost
	} else {
		s.written += s.waiting
		s.names = append([]string(nil), s.files.Names()...)
	}
	s.waiting, s.lost = 0, 0
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	s.err = fmt.Errorf("pcapng: %w", errors.Join(err, s.files.Abandon()))
	err = s.err
	s.mu.Unlock()
	if s.onError != nil {
		s.onError(err)
	}
}

// end closes the last file, after the writing goroutine ended.
func (s *sink) end() {
	if s.err != nil {
		return
	}
	if err := s.files.Close(time.Now()); err != nil {
		s.fail(err)
	}
}
