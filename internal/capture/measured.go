package capture

import (
	"os"
	"sync/atomic"
)

// measured is a file that notes how far it was read, at each read and not at each packet: a read is 64 KiB.
type measured struct {
	*os.File
	size    int64   // 0: not known
	reader  *Reader // whose packets it is; reads on the same goroutine
	read    atomic.Int64
	packets atomic.Uint64
}

func (m *measured) Read(p []byte) (int, error) {
	if m.reader != nil {
		m.packets.Store(m.reader.count)
	}
	n, err := m.File.Read(p)
	m.read.Add(int64(n))
	return n, err
}

// Progress returns how many packets were read, to within some 64 KiB of the file, how many bytes of the file, and its
// size, 0 where that is not known (a pipe). It may be called on another goroutine, of a Reader that Open opened.
func (r *Reader) Progress() (packets uint64, read, size int64) {
	return r.file.packets.Load(), r.file.read.Load(), r.file.size
}
