// Package stats holds what xrx counts, each counter saying which layer counted it, and turns two moments into a report:
// text for people, JSON lines for programs.
package stats

import (
	"time"

	"xrx/umem"
)

// Snapshot is all counters at a moment, since the receiver was opened. A Report is the difference of two.
type Snapshot struct {
	At      time.Time
	CPU     CPU               // the whole process
	XDP     map[string]uint64 // the XDP program's outcomes by reason, over all queues and processors
	Events  map[string]uint64 // what happened to the interface, by kind; only what happened
	Missed  map[string]uint64 // packets that taps could not keep, being at their limits, by tap
	Kept    map[string]uint64 // frames that taps keep now, by tap
	Queues  []Queue
	Workers []Worker // in order; none where packets are delivered on the queues' own goroutines
}

// CPU is processor time.
type CPU struct{ User, Sys time.Duration }

// since returns what was counted after then. A count that is below what it was began again: the socket or the thread
// that it belongs to is another one now.
func since[T uint64 | time.Duration](now, then T) T {
	if now < then {
		return now
	}
	return now - then
}

func (c CPU) sub(d CPU) CPU { return CPU{since(c.User, d.User), since(c.Sys, d.Sys)} }

// Queue is what one queue counted. Its only writer is the queue's goroutine, which also made the copy.
type Queue struct {
	Queue int
	CPU   CPU // the queue's thread; zero when it is not running

	// The receiver's own counts.
	Packets, Bytes                    uint64        // taken off the rx ring
	Polls, Squeezes, Sleeps, Wakeups  uint64        // polls that found packets; that used up the budget; waits; driver wakeups
	Gather                            time.Duration // longest sleep while packets come fast; 0: none
	OutPackets, OutSegments, OutBytes uint64        // delivered; segments are packets as they were on the wire
	FillPosted, FillEmpty, FillShort  uint64        // frames given to the kernel; ring found empty; spells without free frames
	FillLevel, FillSize, RxLevel      int           // frames waiting in the fill ring, its size, packets waiting in the rx ring
	GROIn, GROOut                     uint64        // packets into and out of GRO; 0 when it is off
	GRO                               map[string]uint64
	Drops                             map[string]uint64 // by reason; only what xrx itself dropped
	Panics                            map[string]uint64 // of consumers, by their names
	Handled                           map[string]uint64 // packets that a Mux gave to its handlers, by their names

	Tx     Tx          // forwarded
	Kernel Kernel      // XDP_STATISTICS
	Ledger umem.Ledger // where every frame is, found by walking the headers
}

// Kernel is XDP_STATISTICS of a queue's socket, counted by the kernel.
type Kernel struct {
	RxDropped            uint64 `json:"rx_dropped"`
	RxInvalidDescs       uint64 `json:"rx_invalid_descs"`
	RxRingFull           uint64 `json:"rx_ring_full"`
	RxFillRingEmptyDescs uint64 `json:"rx_fill_ring_empty_descs"`
}

func (k Kernel) sub(o Kernel) Kernel {
	return Kernel{since(k.RxDropped, o.RxDropped), since(k.RxInvalidDescs, o.RxInvalidDescs), since(k.RxRingFull, o.RxRingFull), since(k.RxFillRingEmptyDescs, o.RxFillRingEmptyDescs)}
}

func (k Kernel) add(o Kernel) Kernel {
	return Kernel{k.RxDropped + o.RxDropped, k.RxInvalidDescs + o.RxInvalidDescs, k.RxRingFull + o.RxRingFull, k.RxFillRingEmptyDescs + o.RxFillRingEmptyDescs}
}

// Lost is how many packets the kernel dropped for want of a frame or of room in the rx ring.
func (k Kernel) Lost() uint64 { return k.RxDropped + k.RxRingFull }
