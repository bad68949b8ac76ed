package capture

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Rotation says when a capture goes on in a new file. The zero value: never.
type Rotation struct {
	Size  int64         // bytes: a file is not longer, unless one packet is
	Every time.Duration // a file has no packets of a longer time
	Files int           // files that are kept: with one more, the oldest is deleted; 0: all
}

// On reports whether there is any rotation.
func (r Rotation) On() bool { return r.Size > 0 || r.Every > 0 }

// Validate says what is wrong, if anything.
func (r Rotation) Validate() error {
	switch {
	case r.Size < 0 || r.Every < 0 || r.Files < 0:
		return errors.New("rotation: size, time and number of files can't be negative")
	case r.Size > 0 && r.Size < MinSize:
		return fmt.Errorf("rotation: files of %d bytes: want at least %d", r.Size, MinSize)
	case r.Every > 0 && r.Every < time.Second:
		return fmt.Errorf("rotation: a file every %v: want at least 1s", r.Every)
	case r.Files > 0 && !r.On():
		return fmt.Errorf("rotation: %d files: say when one ends, by size or time", r.Files)
	}
	return nil
}

// MinSize is the smallest Rotation.Size: room for the headers and something beside.
const MinSize = 4096

// Files writes one capture into one file after the other. One goroutine uses it.
type Files struct {
	path   string
	info   Info
	rotate Rotation
	counts func() Counts

	out    io.Writer // the present file
	file   *os.File  // nil: a stream that is somebody else's
	w      *Writer
	size   int64     // bytes of the present file, what is still buffered included
	began  time.Time // the present file
	before Counts    // when it began
	number int
	names  []string // of files that are there
}

// CreateFiles opens the first file at path; with rotation, files are named as dumpcap(1) names them: a path of
// eth1.pcapng gives eth1_00001_20060102150405.pcapng and so on. counts, which may be nil, is asked at each file's end.
func CreateFiles(path string, info Info, rotate Rotation, now time.Time, counts func() Counts) (*Files, error) {
	if err := rotate.Validate(); err != nil {
		return nil, err
	}
	f := &Files{path: path, info: info, rotate: rotate, counts: counts}
	if err := f.open(now); err != nil {
		return nil, errors.Join(err, f.closeFile())
	}
	return f, nil
}

// Stream writes everything to w, which is not closed.
func Stream(w io.Writer, info Info, now time.Time, counts func() Counts) (*Files, error) {
	f := &Files{info: info, counts: counts, out: w}
	if err := f.begin(now); err != nil {
		return nil, err
	}
	return f, nil
}

// open makes the next file.
func (f *Files) open(now time.Time) (err error) {
	name, flags := f.path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC
	if f.rotate.On() {
		flags = os.O_CREATE | os.O_WRONLY | os.O_EXCL // an earlier capture is not overwritten
	}
	for f.file = nil; f.file == nil; {
		if f.rotate.On() {
			f.number++
			ext := filepath.Ext(f.path)
			name = fmt.Sprintf("%s_%05d_%s%s", strings.TrimSuffix(f.path, ext), f.number, now.Format("20060102150405"), ext)
		}
		if f.file, err = os.OpenFile(name, flags, 0o666); err != nil && !(f.rotate.On() && errors.Is(err, fs.ErrExist)) {
			f.file = nil
			return fmt.Errorf("write capture: %w", err)
		}
	}
	f.out = f.file
	f.names = append(f.names, name)
	return f.begin(now)
}

// begin writes the headers of a file.
func (f *Files) begin(now time.Time) (err error) {
	f.began = now
	if f.w, err = NewWriter(f.out, f.info); err != nil {
		return err
	}
	f.size = int64(f.w.buf.Buffered())
	return f.w.Flush() // an output that can't be written says so now
}

// Advance says what time it is: a new file begins where the present one has lasted long enough.
func (f *Files) Advance(now time.Time) error {
	if f.rotate.Every == 0 || now.Sub(f.began) < f.rotate.Every {
		return nil
	}
	if f.w.written == 0 { // no empty files: the time begins with the first packet
		f.began = now
		return nil
	}
	return f.next(now)
}

// endRoom is how long the block of statistics can be.
const endRoom = 256

// Write appends a packet: see Writer.Write. It begins a new file where the present one is full.
func (f *Files) Write(at time.Time, data []byte, length int, queue int, merged Merged) error {
	need := int64(44 + (len(data)+3)&^3) // block, options for the queue
	if merged.Segs > 1 {
		need += 40 // comment
	}
	if f.rotate.Size > 0 && f.size+need+endRoom > f.rotate.Size && f.w.written > 0 {
		if err := f.next(time.Now()); err != nil {
			return err
		}
	}
	f.size += need
	return f.w.Write(at, data, length, queue, merged)
}

// next ends the present file and begins another; the oldest goes where there are too many.
func (f *Files) next(now time.Time) error {
	if err := f.end(now); err != nil {
		return err
	}
	if f.rotate.Files > 0 && len(f.names) >= f.rotate.Files {
		if err := os.Remove(f.names[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("write capture: delete the oldest file: %w", err)
		}
		f.names = f.names[1:]
	}
	return f.open(now)
}

// end writes the statistics of the present file and closes it.
func (f *Files) end(now time.Time) error {
	s := Statistics{Began: f.began, Ended: now}
	if f.counts != nil {
		total := f.counts().most(f.before)
		s.Counts = total.since(f.before)
		f.before = total
	}
	return errors.Join(f.w.Close(s), f.closeFile())
}

func (f *Files) closeFile() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// Flush writes what was gathered.
func (f *Files) Flush() error { return f.w.Flush() }

// Close ends the last file.
func (f *Files) Close(now time.Time) error { return f.end(now) }

// Abandon closes the file as it is, after an error.
func (f *Files) Abandon() error { return f.closeFile() }

// Names returns the files that are there, the oldest first.
func (f *Files) Names() []string { return f.names }
