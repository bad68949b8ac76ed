package traces

import "encoding/binary"

const (
	protoTCP = 6
	protoUDP = 17

	ethLen, ipLen, tcpLen, udpLen = 14, 20, 32, 8 // TCP with the timestamp option
)

// generator has one random sequence, shared by all traces in the order in which they are made.
type generator struct{ x uint64 }

func newGenerator() *generator { return &generator{0x9E3779B97F4A7C15} }

// random is xorshift64 (Marsaglia 2003).
func (g *generator) random() uint64 {
	g.x ^= g.x << 13
	g.x ^= g.x >> 7
	g.x ^= g.x << 17
	return g.x
}

// fill writes random bytes: one random number for eight bytes, and one for each byte left over.
func (g *generator) fill(p []byte) {
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, g.random())
	}
	for i := range p {
		p[i] = byte(g.random())
	}
}

// flow is what changes from one frame of a flow to the next.
type flow struct {
	seq uint32
	id  uint16
}

// build makes the next frame of flow i; burst counts from 0.
type build func(i, burst int, f *flow) []byte

func (g *generator) trace(name, text string, n, flows int, next build, pick func(i int) int) Trace {
	state := make([]flow, flows)
	for i := range state {
		state[i] = flow{uint32(i) * 7919, uint16(i * 31)}
	}
	t := Trace{Name: name, Text: text, Flows: flows, Frames: make([][]byte, n)}
	for i := range t.Frames {
		k := pick(i)
		t.Frames[i] = next(k, i/Burst, &state[k])
	}
	t.UDP = t.Frames[0][ethLen+9] == protoUDP
	return t
}

// tcp builds plain data segments of n payload bytes: ACK only, timestamps that change once a burst.
func (g *generator) tcp(n int) build {
	return func(i, burst int, f *flow) []byte {
		b := headers(protoTCP, i, f.id, tcpLen+n)
		h := b[ethLen+ipLen:]
		binary.BigEndian.PutUint16(h, sourcePort(i))
		binary.BigEndian.PutUint16(h[2:], 5201)
		binary.BigEndian.PutUint32(h[4:], f.seq)
		binary.BigEndian.PutUint32(h[8:], 0x01020304)
		h[12] = tcpLen / 4 << 4
		h[13] = 0x10
		binary.BigEndian.PutUint16(h[14:], 501)
		copy(h[20:], []byte{1, 1, 8, 10}) // RFC 7323: NOP, NOP, timestamps
		binary.BigEndian.PutUint32(h[24:], uint32(1000+burst))
		binary.BigEndian.PutUint32(h[28:], 77)
		g.fill(h[tcpLen:])
		binary.BigEndian.PutUint16(h[16:], checksum(h, pseudo(b)))
		f.seq += uint32(n)
		f.id++
		return b
	}
}

// udp builds datagrams of n payload bytes.
func (g *generator) udp(n int) build {
	return func(i, _ int, f *flow) []byte {
		b := headers(protoUDP, i, f.id, udpLen+n)
		h := b[ethLen+ipLen:]
		binary.BigEndian.PutUint16(h, sourcePort(i))
		binary.BigEndian.PutUint16(h[2:], UDPPort)
		binary.BigEndian.PutUint16(h[4:], uint16(udpLen+n))
		g.fill(h[udpLen:])
		c := checksum(h, pseudo(b))
		if c == 0 {
			c = 0xffff // RFC 768
		}
		binary.BigEndian.PutUint16(h[6:], c)
		f.id++
		return b
	}
}

func sourcePort(i int) uint16 { return uint16(20000 + i%40000) }

// headers returns a frame with Ethernet and IPv4 header for flow i and room for n bytes behind them.
func headers(proto byte, i int, id uint16, n int) []byte {
	b := make([]byte, ethLen+ipLen+n)
	copy(b, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0})
	ip := b[ethLen:][:ipLen]
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(ipLen+n))
	binary.BigEndian.PutUint16(ip[4:], id)
	ip[6] = 0x40 // DF
	ip[8] = 64
	ip[9] = proto
	copy(ip[12:], []byte{10, byte(i >> 16), byte(i >> 8), byte(i), 10, 1, 0, 1})
	binary.BigEndian.PutUint16(ip[10:], checksum(ip, 0))
	return b
}

// pseudo returns the sum of the pseudo header of a frame made by headers.
func pseudo(b []byte) uint32 {
	return sum(b[ethLen+12:ethLen+20], 0) + uint32(b[ethLen+9]) + uint32(len(b)-ethLen-ipLen)
}

// checksum is the Internet checksum (RFC 1071) of b and a sum before it.
func checksum(b []byte, s uint32) uint16 {
	for s = sum(b, s); s > 0xffff; {
		s = s&0xffff + s>>16
	}
	return ^uint16(s)
}

func sum(b []byte, s uint32) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}
