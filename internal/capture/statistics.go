package capture

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Counts are packets on the wire since a capture began: what came, and what was lost, by whom.
type Counts struct {
	Received uint64 // by xrx
	Kernel   uint64 // dropped before: no frame, or no room in the ring
	Xrx      uint64 // dropped by the receiver
	Output   uint64 // dropped because the file was written too slowly, or could not be
}

// since returns what was added. A count that went back (its source was closed) has added nothing.
func (c Counts) since(before Counts) Counts {
	sub := func(a, b uint64) uint64 { return max(a, b) - b }
	return Counts{sub(c.Received, before.Received), sub(c.Kernel, before.Kernel), sub(c.Xrx, before.Xrx), sub(c.Output, before.Output)}
}

// most returns the larger of each count: counts of a source that was closed do not take back what they said.
func (c Counts) most(d Counts) Counts {
	return Counts{max(c.Received, d.Received), max(c.Kernel, d.Kernel), max(c.Xrx, d.Xrx), max(c.Output, d.Output)}
}

// Lost is the sum of what was dropped.
func (c Counts) Lost() uint64 { return c.Kernel + c.Xrx + c.Output }

// Statistics are what a file says about itself at its end.
type Statistics struct {
	Began, Ended time.Time
	Counts
	written uint64 // packets in the file
}

// block is an Interface Statistics Block (draft-ietf-opsawg-pcapng, section 4.6). pcapgo writes it without isb_osdrop,
// isb_usrdeliv and comment. isb_ifrecv is what came to the interface's sockets, dropped or not; isb_ifdrop is all that
// was lost of it, since that is what readers show; isb_osdrop the kernel's part; isb_usrdeliv what is in the file.
func (s *Statistics) block() []byte {
	le := binary.LittleEndian
	stamp := func(b []byte, t time.Time) []byte { // high word first, in the interface's unit: ns
		n := uint64(t.UnixNano())
		return le.AppendUint32(le.AppendUint32(b, uint32(n>>32)), uint32(n))
	}
	option := func(b []byte, code, length int) []byte {
		return le.AppendUint16(le.AppendUint16(b, uint16(code)), uint16(length))
	}
	b := le.AppendUint32(nil, 5)
	b = le.AppendUint32(b, 0) // length, below
	b = le.AppendUint32(b, 0) // interface
	b = stamp(b, s.Ended)
	b = stamp(option(b, 2, 8), s.Began)
	b = stamp(option(b, 3, 8), s.Ended)
	for _, n := range []struct {
		code  int
		count uint64
	}{{4, s.Received + s.Kernel}, {5, s.Lost()}, {7, s.Kernel}, {8, s.written}} {
		b = le.AppendUint64(option(b, n.code, 8), n.count)
	}
	if s.Lost() > 0 {
		text := fmt.Sprintf("xrx: lost %d: %d by the kernel, %d by xrx, %d because output was too slow", s.Lost(), s.Kernel, s.Xrx, s.Output)
		b = append(option(b, 1, len(text)), text...)
		b = append(b, make([]byte, -len(text)&3)...)
	}
	b = option(b, 0, 0)
	length := uint32(len(b) + 4)
	le.PutUint32(b[4:], length)
	return le.AppendUint32(b, length)
}
