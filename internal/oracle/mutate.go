package oracle

import (
	"bytes"
	"encoding/binary"

	"xrx/internal/frames"
)

// Mutant stands for an engine with a bug: it is blind to something. To show the bug to an oracle without building such
// an engine, a sound engine is given frames in which that something never differs.
type Mutant struct {
	Name string
	New  func() func(frame []byte, h headers) []byte // a fresh one for each burst
}

// Blind returns the burst's frames as the mutant sees them.
func (m Mutant) Blind(b Burst) (list [][]byte) {
	see := m.New()
	for _, p := range b {
		frame := bytes.Clone(p.Frame)
		if h, ok := headersOf(frame); ok {
			frame = see(frame, h)
		}
		list = append(list, frame)
	}
	return list
}

// Sees reports that the mutant misses nothing in the burst: blind, what it sees, is what there is.
func (m Mutant) Sees(b Burst, blind [][]byte) bool {
	for i, p := range b {
		if !bytes.Equal(p.Frame, blind[i]) {
			return false
		}
	}
	return true
}

// tcpByte, ip4Byte and ip6Byte set bytes of TCP, IPv4 and IPv6 headers: at an offset, a mask of the bits that are cleared, and new bits.
func tcpByte(at int, mask, v byte) func() func([]byte, headers) []byte {
	return each(func(b []byte, h headers) {
		if h.proto == frames.ProtoTCP {
			set(b, h.l4+at, b[h.l4+at]&^mask|v, sumAt(h))
		}
	})
}

func ip4Byte(at int, mask, v byte) func() func([]byte, headers) []byte {
	return each(func(b []byte, h headers) {
		if !h.v6(b) {
			set(b, h.l3+at, b[h.l3+at]&^mask|v, h.l3+10)
		}
	})
}

func ip6Byte(at int, mask, v byte) func() func([]byte, headers) []byte {
	return each(func(b []byte, h headers) {
		if h.v6(b) {
			b[h.l3+at] = b[h.l3+at]&^mask | v
		}
	})
}

func each(do func(b []byte, h headers)) func() func([]byte, headers) []byte {
	return func() func([]byte, headers) []byte {
		return func(b []byte, h headers) []byte { do(b, h); return b }
	}
}

func both(a, b func() func([]byte, headers) []byte) func() func([]byte, headers) []byte {
	return func() func([]byte, headers) []byte {
		f, g := a(), b()
		return func(b []byte, h headers) []byte { return g(f(b, h), h) }
	}
}

// Mutants are the bugs that the oracle must find, each within a number of random bursts.
var Mutants = []Mutant{
	{"ignores the window", both(tcpByte(14, 0xff, 1), tcpByte(15, 0xff, 1))},
	{"ignores the ack number", both(both(tcpByte(8, 0xff, 0), tcpByte(9, 0xff, 0)), both(tcpByte(10, 0xff, 0), tcpByte(11, 0xff, 0)))},
	{"ignores PSH", tcpByte(13, frames.PSH, 0)},
	{"ignores FIN", tcpByte(13, frames.FIN, 0)},
	{"ignores SYN and RST", tcpByte(13, frames.SYN|frames.RST, 0)},
	{"ignores URG", tcpByte(13, frames.URG, 0)},
	{"ignores ECE", tcpByte(13, frames.ECE, 0)},
	{"ignores CWR", tcpByte(13, frames.CWR, 0)},
	{"ignores the reserved bits", tcpByte(12, 0x0f, 0)},
	{"ignores options", each(func(b []byte, h headers) {
		if h.proto == frames.ProtoTCP {
			for at := h.l4 + 20; at < min(len(b), h.l4+int(b[h.l4+12]>>4)*4); at++ {
				set(b, at, 1, sumAt(h))
			}
		}
	})},
	{"ignores sequence numbers", func() func([]byte, headers) []byte {
		next := map[string]uint32{}
		return func(b []byte, h headers) []byte {
			if h.proto != frames.ProtoTCP {
				return b
			}
			flow := string(b[h.l4:h.l4+4]) + string(b[h.l3+12:h.l3+20])
			seq := next[flow]
			next[flow] = seq + uint32(max(0, len(b)-h.l4-int(b[h.l4+12]>>4)*4))
			for i := range 4 {
				set(b, h.l4+4+i, byte(seq>>(24-8*i)), sumAt(h))
			}
			return b
		}
	}},
	{"ignores TTL", ip4Byte(8, 0xff, 64)},
	{"ignores TOS", ip4Byte(1, 0xff, 0)},
	{"ignores DF", ip4Byte(6, 0x40, 0)},
	{"ignores the reserved fragment bit", ip4Byte(6, 0x80, 0)},
	{"ignores the IP ID", both(ip4Byte(4, 0xff, 0), ip4Byte(5, 0xff, 0))},
	{"ignores hop limits", ip6Byte(7, 0xff, 64)},
	{"ignores traffic classes", both(ip6Byte(0, 0x0f, 0), ip6Byte(1, 0xf0, 0))},
	{"ignores flow labels", both(ip6Byte(1, 0x0f, 0), both(ip6Byte(2, 0xff, 0), ip6Byte(3, 0xff, 0)))},
	{"ignores the IP header's checksum", each(func(b []byte, h headers) {
		if !h.v6(b) {
			hl := int(b[h.l3]&15) * 4
			b[h.l3+10], b[h.l3+11] = 0, 0
			binary.BigEndian.PutUint16(b[h.l3+10:], frames.Checksum(b[h.l3:h.l3+hl], 0))
		}
	})},
	{"ignores the L4 checksum", each(func(b []byte, h headers) {
		// A field that is right only by chance becomes right always: RFC 1071 over the segment as long as it is.
		l4 := b[h.l4:]
		field := l4[sumAt(h)-h.l4:]
		if h.proto == frames.ProtoUDP && field[0]|field[1] == 0 {
			return
		}
		src, dst := addresses(b, h)
		field[0], field[1] = 0, 0
		binary.BigEndian.PutUint16(field, frames.Checksum(l4, frames.PseudoSum(src, dst, h.proto, len(l4))))
	})},
	{"merges UDP without a checksum", each(func(b []byte, h headers) {
		l4 := b[h.l4:]
		if h.proto == frames.ProtoUDP && l4[6]|l4[7] == 0 {
			src, dst := addresses(b, h)
			binary.BigEndian.PutUint16(l4[6:], frames.Checksum(l4, frames.PseudoSum(src, dst, h.proto, len(l4))))
		}
	})},
	{"ignores VLAN tags", each(func(b []byte, h headers) {
		if h.vlan != 0 {
			b[h.vlan], b[h.vlan+1] = 0, 7
		}
	})},
	{"ignores tunnel headers", each(func(b []byte, h headers) {
		switch {
		case h.outer == 0:
		case h.outerV6(b):
			b[h.outer+7], b[h.outer+23] = 64, 0
		default:
			for _, at := range []int{1, 4, 5, 6, 8, 15} {
				set(b, h.outer+at, 0x40, h.outer+10)
			}
		}
	})},
	{"trims padding", func() func([]byte, headers) []byte {
		return func(b []byte, h headers) []byte {
			n := int(binary.BigEndian.Uint16(b[h.l3+2:]))
			if h.v6(b) {
				n = 40 + int(binary.BigEndian.Uint16(b[h.l3+4:]))
			}
			return b[:min(len(b), h.l3+n)]
		}
	}},
}
