package gen

import "encoding/binary"

const (
	fullHeader    = 16 // bytes of payload that the full layout needs
	compactHeader = 6  // and the compact one
	stampedHeader = 22 // and the stamped one

	// MaxSize is the longest frame, bytes without FCS: Ethernet header, two
	// VLAN tags and an MTU of 9000.
	MaxSize = 14 + 8 + 9000
	// MaxFlows is the largest number of flows of a stream.
	MaxFlows = 1 << 20

	firstSrcPort = 10000
	firstDstPort = 9000
	srcPorts     = 50000
)

var magic, stampedMagic = [3]byte{'x', 'r', 'x'}, [3]byte{'x', 'r', 't'}

// pattern is the table behind the content of payloads: bytes of a xorshift
// generator (Marsaglia 2003) with a fixed seed. Its period is far longer than
// a frame, so that content moved to another offset does not pass.
var pattern = func() (t [MaxSize + 256]byte) {
	x := uint32(0x78727821)
	for i := range t {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		t[i] = byte(x >> 24)
	}
	return t
}()

// putPayload fills p, at least compactHeader bytes, for the frame with this
// sequence number.
func putPayload(p []byte, seq uint64, flow uint32, shift uint8) {
	if len(p) < fullHeader {
		binary.BigEndian.PutUint16(p, uint16(seq>>32))
		binary.BigEndian.PutUint32(p[2:], uint32(seq))
		copy(p[compactHeader:], pattern[compactHeader:])
		return
	}
	binary.BigEndian.PutUint64(p, seq)
	binary.BigEndian.PutUint32(p[8:], flow)
	p[12] = shift
	copy(p[13:], magic[:])
	copy(p[fullHeader:], pattern[fullHeader+int(shift):])
}

// ports returns the source and destination port of a flow.
func ports(flow uint32) (src, dst uint16) {
	return uint16(firstSrcPort + flow%srcPorts), uint16(firstDstPort + flow/srcPorts)
}

// flowOf is the reverse of ports; ok is false for ports of no flow.
func flowOf(src, dst uint16) (flow uint32, ok bool) {
	s, d := uint32(src)-firstSrcPort, uint32(dst)-firstDstPort
	flow = s + d*srcPorts
	return flow, s < srcPorts && d <= (MaxFlows-1)/srcPorts && flow < MaxFlows
}
