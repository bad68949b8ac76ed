package gen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"xrx/internal/frames"
)

// maxSizes bounds the list of frame sizes: the live engine keeps it in the
// program's read-only memory.
const maxSizes = 2048

// timestampOption is NOP, NOP, TSval 1, TSecr 1 (RFC 7323, section 3.2).
var timestampOption = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1}

// Stream says what is sent.
type Stream struct {
	TCP bool // else UDP
	// Flows is the number of flows, 1..MaxFlows; 0 means 1.
	Flows int
	// Burst is the number of consecutive frames of one flow; 0 means 1.
	Burst int
	// Sizes are the lengths of frames in bytes, without FCS, used in turn.
	// Nil means one size: 64, or the smallest that holds the content.
	Sizes          []int
	SrcMAC, DstMAC net.HardwareAddr
	Src, Dst       netip.Addr // both IPv4 or both IPv6
	VLANs          []frames.VLAN
	// Stamp puts the time into every frame.
	Stamp bool
}

// Range lists the sizes from first to last, both included.
func Range(first, last int) (sizes []int) {
	for size := first; size <= last; size++ {
		sizes = append(sizes, size)
	}
	return sizes
}

// MinSize returns the shortest frame, bytes without FCS, in which the stream's
// headers and its sequence number have room.
func (s Stream) MinSize() int {
	f := s.frame()
	f.TCPOptions = nil
	return max(frames.MinSize, f.Headers()+s.least())
}

// least returns the shortest payload.
func (s Stream) least() int {
	if s.Stamp {
		return stampedHeader
	}
	return compactHeader
}

// withDefaults returns s with every zero field replaced by its default.
func (s Stream) withDefaults() Stream {
	if s.Flows == 0 {
		s.Flows = 1
	}
	if s.Burst == 0 {
		s.Burst = 1
	}
	if len(s.Sizes) == 0 {
		s.Sizes = []int{max(64, s.MinSize())}
	}
	return s
}

// Validate reports the first thing about the stream that cannot be sent.
func (s Stream) Validate() error {
	s = s.withDefaults()
	switch {
	case s.Flows < 1 || s.Flows > MaxFlows:
		return fmt.Errorf("flows %d: want 1..%d", s.Flows, MaxFlows)
	case s.Burst < 1 || s.Burst > 1<<20:
		return fmt.Errorf("burst %d: want 1..%d", s.Burst, 1<<20)
	case len(s.SrcMAC) != 6 || len(s.DstMAC) != 6:
		return errors.New("source and destination MAC: want 6 bytes each")
	case !s.Src.IsValid() || !s.Dst.IsValid():
		return errors.New("source and destination address: want both")
	case s.Src.Is4() != s.Dst.Is4():
		return fmt.Errorf("addresses %s and %s: want one IP version", s.Src, s.Dst)
	case s.Src.Is4In6() || s.Dst.Is4In6():
		return fmt.Errorf("addresses %s and %s: write IPv4 as IPv4", s.Src, s.Dst)
	case len(s.VLANs) > 2:
		return fmt.Errorf("%d VLAN tags: want at most 2", len(s.VLANs))
	case len(s.Sizes) > maxSizes:
		return fmt.Errorf("%d sizes: want at most %d", len(s.Sizes), maxSizes)
	}
	for _, size := range s.Sizes {
		if size < s.MinSize() || size > MaxSize {
			return fmt.Errorf("size %d: this stream's frames have %d..%d bytes", size, s.MinSize(), MaxSize)
		}
	}
	return nil
}

// maxSize returns the largest of the sizes.
func (s Stream) maxSize() int { return slices.Max(s.Sizes) }

// frame returns the stream's headers, ports and payload left out. TCP has its
// timestamp option where the smallest frame leaves room for it.
func (s Stream) frame() frames.Frame {
	f := frames.Frame{
		SrcMAC: s.SrcMAC, DstMAC: s.DstMAC, VLANs: s.VLANs,
		Src: s.Src, Dst: s.Dst, Proto: frames.ProtoUDP,
		Fragment: 0x4000, // DF
	}
	if !s.TCP {
		return f
	}
	f.Proto, f.Flags, f.Ack, f.Window = frames.ProtoTCP, frames.ACK, 1, 65535
	if len(s.Sizes) > 0 && slices.Min(s.Sizes) >= f.Headers()+len(timestampOption)+s.least() {
		f.TCPOptions = timestampOption
	}
	return f
}
