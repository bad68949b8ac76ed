package xrx

import (
	"fmt"
	"time"

	"xrx/bpf"
	"xrx/xsk"
)

// lookTime is how often Run looks whether packets come that are not whole: two loads from memory.
const lookTime = time.Second

// lookForTruncated tells once, of each opening, that packets come which are shorter than their IP header says: drivers that
// give their device less room than a frame needs (igb, see chunk.go) have no counter for it. Run's goroutine.
func (r *Receiver) lookForTruncated(at time.Time) {
	length := r.prog.Truncated()
	if length == 0 || r.follow.truncated {
		return
	}
	r.follow.truncated = true
	n := uint64(1) // the counters can't be read: one there was
	if c, err := r.prog.Counters(); err == nil {
		n = max(n, c.Total[bpf.Truncated])
	}
	r.tell(at, FramesTruncated, true, "%d packets so far were shorter than their IP length says, the last had %d bytes: %s. They are delivered as they are (xdp: truncated)", n, length, r.whoCuts(length))
}

// whoCuts says who makes packets of so many bytes out of longer ones, and what helps. In copy mode the chunks don't
// matter to the driver, which has buffers of its own.
func (r *Receiver) whoCuts(length int) string {
	q := r.queues[0]
	chunk := q.mem.Config().ChunkSize
	switch {
	case q.sock.Mode() != xsk.ZeroCopy:
		return "whoever sent them cut them, or the driver does (ethtool -S); a smaller MTU at the sender helps against the latter"
	case chunk < 4096:
		return fmt.Sprintf("most likely the driver cuts frames at %d bytes, for chunks have only %d; use larger chunks (--chunk 4096) or a smaller MTU", length, chunk)
	default:
		return fmt.Sprintf("the driver cuts frames at %d bytes, or whoever sent them did; use a smaller MTU, or --bind copy", length)
	}
}
