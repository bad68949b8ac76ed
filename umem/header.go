package umem

import "unsafe"

// State says who owns a frame now. The zero State is invalid, so that zeroed memory is never mistaken for a frame.
type State uint8

const (
	Free      State = iota + 1 // in its pool's free set
	Filling                    // posted to the fill ring: the kernel's until a descriptor brings it back
	Received                   // taken off the rx ring, not yet handed on
	Held                       // waiting in GRO for segments that may follow
	Delivered                  // with consumers: as many references as refs says
	Sending                    // posted to a tx ring
	numStates = int(Sending) + 1
)

var stateNames = [numStates]string{"invalid", "free", "filling", "received", "held", "delivered", "sending"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "invalid"
}

// Kind says what a header's chain fields mean, as the type of a Redis sds header does.
type Kind uint8

const (
	Plain    Kind = iota // one packet in one buffer
	Head                 // first buffer of a packet that goes on in the chain Seg
	Segment              // a GRO segment: its payload belongs to the packet of the chain's Head
	Fragment             // a later buffer of a multi-buffer packet (XDP_PKT_CONTD)
)

// Csum is what is known about the checksums of a packet (and of all segments merged into it).
type Csum uint8

const (
	CsumUnknown  Csum = iota // nobody looked
	CsumOK                   // layer 4 checksum verified (every segment's, for a GRO packet)
	CsumBad                  // a checksum did not verify
	CsumPartial              // only the pseudo-header sum is there: a local sender left it to a NIC that never was
	CsumNone                 // the protocol has none, or the sender sent none (UDP 0)
	CsumFinished             // GRO packet with a real checksum, computed from the verified sums of its segments
)

// HeaderSize is the room that a Header takes at the start of each chunk; the UMEM headroom H is at least this.
const HeaderSize = 128

// Ref names a frame within its Umem: its offset in units of refUnit bytes, plus one, so that 0 is "no frame".
type Ref uint32

const refUnit = 64

// Header is the hidden header of a frame: 128 bytes at the start of its chunk, in memory that the garbage collector
// does not know. It holds no Go pointer. Each field names its only writer.
//
// The first 64 bytes are what every packet touches; the second cache line is GRO's.
type Header struct {
	magic uint64 // New only: the Umem's random magic mixed with the chunk's offset; anything else is a stray write
	refs  int32  // atomically by any holder while Delivered; plainly by the pool's goroutine while it alone has the frame
	gen   uint32 // the last releaser: the life number of the frame, part of every handle that was given out
	link  Ref    // the last releaser: next on the return queue
	index uint32 // New only: which frame this is, 0 .. Frames-1

	Seg   Ref    // pool's goroutine: next buffer of the same packet
	Tail  Ref    // pool's goroutine, heads only: last buffer of the chain; 0 when the chain is empty
	Len   uint32 // pool's goroutine: bytes in this buffer, from Off
	Total uint32 // pool's goroutine: bytes of the whole packet over its chain, headers counted once

	Off     uint16 // pool's goroutine: where the buffer starts, from the chunk's first byte
	Skip    uint16 // gro: bytes of its own headers that a Segment hides (they stay in memory: Resegment needs them)
	Segs    uint16 // gro, heads only: packets that arrived on the wire for this one; 1 for a packet that is alone
	GSOSize uint16 // gro, heads only: layer 4 payload of the first segment; 0 when Segs is 1

	Bufs  uint16 // pool's goroutine, heads only: frames of the packet, this one included
	state State  // pool's goroutine; Free also while the frame is posted: see Umem.State
	Kind  Kind   // pool's goroutine
	Csum  Csum   // pool's goroutine
	_     [3]uint8

	home   uint16 // Split only: index of the pool that the frame returns to
	owner  Owner  // pool's goroutine, heads only: the account that the packet is charged to; 0 when it is not
	charge uint16 // pool's goroutine, heads only: how many frames it was charged for
	_      [2]uint8

	// Scratch is written by gro while the frame is Received or Held; Resegment reads it after delivery.
	Scratch [64]byte
}

// The layout is shared with nobody, but its size and its cache lines are promises: fail the build when they move.
var (
	_ [HeaderSize]byte = [unsafe.Sizeof(Header{})]byte{}
	_ [64]byte         = [unsafe.Offsetof(Header{}.Scratch)]byte{}
)

// Index returns the number of the frame, 0 .. Frames-1: the key of side tables for what can't live outside Go memory.
func (h *Header) Index() int { return int(h.index) }

// Gen returns the life number of the frame: it changes when the last reference is released.
func (h *Header) Gen() uint32 { return h.gen }
