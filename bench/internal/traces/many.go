package traces

import "encoding/binary"

// Many returns one small TCP frame (64 payload bytes) for each of n flows, at most 1<<24. All flows advance alike: Advance makes a
// copy of a frame the one that its flow sends k rounds later.
func Many(n int) Trace {
	g := newGenerator()
	return g.trace("flows", "TCP flows, 64 payload bytes, round robin", n, n, g.tcp(manyPayload), func(i int) int { return i })
}

const manyPayload = 64

// Advance moves sequence number and IP identification of a frame made by Many k rounds on, checksums included.
func Advance(b []byte, k int) {
	ip, tcp := b[ethLen:], b[ethLen+ipLen:]
	id := binary.BigEndian.Uint16(ip[4:])
	binary.BigEndian.PutUint16(ip[4:], id+uint16(k))
	binary.BigEndian.PutUint16(ip[10:], 0)
	binary.BigEndian.PutUint16(ip[10:], checksum(ip[:ipLen], 0))
	seq := binary.BigEndian.Uint32(tcp[4:])
	next := seq + uint32(k*manyPayload)
	binary.BigEndian.PutUint32(tcp[4:], next)
	// RFC 1624, equation 3: HC' = ~(~HC + ~m + m')
	s := uint32(^binary.BigEndian.Uint16(tcp[16:])) +
		uint32(^uint16(seq>>16)) + uint32(^uint16(seq)) + next>>16 + next&0xffff
	binary.BigEndian.PutUint16(tcp[16:], checksum(nil, s))
}
