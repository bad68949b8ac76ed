package oracle

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"xrx/internal/frames"
)

// change is one thing that a packet may have different from the packets of its flow before it.
type change struct {
	name string
	udp  bool // for UDP flows too
	only int  // 4 or 6: only over that; 0: both
	when func(f *flow) bool

	// One of the two: to what is built, and if stays is set, to the packets after it too; or to the bytes.
	before func(r *rand.Rand, f *flow, t *frames.Frame)
	stays  bool
	after  func(r *rand.Rand, b []byte, h headers) []byte

	allow string // see Packet.Allow
}

// The allowances: see Packet.Allow.
const (
	V11         = "V11"
	IPv6Version = "IPv6Version"
)

var changes = []change{
	// Rules T3 to T9 and T12.
	{name: "another window", stays: true, before: func(r *rand.Rand, _ *flow, t *frames.Frame) { t.Window ^= 1 << r.IntN(16) }},
	{name: "another window once", before: func(r *rand.Rand, _ *flow, t *frames.Frame) { t.Window++ }},
	{name: "another ack", stays: true, before: func(_ *rand.Rand, _ *flow, t *frames.Frame) { t.Ack += 1000 }},
	{name: "PSH", before: flag(frames.PSH)},
	{name: "PSH", before: flag(frames.PSH)},
	{name: "FIN", before: flag(frames.FIN)},
	{name: "ECE", before: flag(frames.ECE)},
	{name: "ECE from here on", stays: true, before: flag(frames.ECE)},
	{name: "CWR", before: flag(frames.CWR)},
	{name: "CWR from here on", stays: true, before: flag(frames.CWR)},
	{name: "URG", before: flag(frames.URG)},
	{name: "SYN", before: flag(frames.SYN)},
	{name: "RST", before: flag(frames.RST)},
	{name: "no ACK", before: func(_ *rand.Rand, _ *flow, t *frames.Frame) { t.Flags &^= frames.ACK }},
	{name: "urgent pointer", before: func(_ *rand.Rand, _ *flow, t *frames.Frame) { t.Urgent = 7 }},
	{name: "other options", stays: true, before: func(r *rand.Rand, f *flow, t *frames.Frame) {
		t.TCPOptions = randomOptions(r)
		t.Payload = t.Payload[:min(len(t.Payload), f.room()-40)]
	}},
	{name: "another timestamp", stays: true, before: func(r *rand.Rand, _ *flow, t *frames.Frame) {
		if n := len(t.TCPOptions); n >= 12 {
			t.TCPOptions = slices.Clone(t.TCPOptions)
			t.TCPOptions[n-8+r.IntN(8)] ^= 1 << r.IntN(8)
		}
	}},
	{name: "another timestamp once", before: func(r *rand.Rand, _ *flow, t *frames.Frame) {
		if n := len(t.TCPOptions); n >= 12 {
			t.TCPOptions = slices.Clone(t.TCPOptions)
			t.TCPOptions[n-8+r.IntN(8)] ^= 1 << r.IntN(8)
		}
	}},
	{name: "reserved bit", after: func(r *rand.Rand, b []byte, h headers) []byte {
		set(b, h.l4+12, b[h.l4+12]^1<<r.IntN(4), h.l4+16)
		return b
	}},
	{name: "no payload", before: func(_ *rand.Rand, _ *flow, t *frames.Frame) { t.Payload = nil }},
	{name: "shorter", udp: true, before: func(r *rand.Rand, _ *flow, t *frames.Frame) { t.Payload = t.Payload[:1+r.IntN(len(t.Payload))] }},
	{name: "longer", udp: true, before: func(r *rand.Rand, f *flow, t *frames.Frame) {
		t.Payload = append(t.Payload, make([]byte, min(f.room()-len(t.Payload), 1+r.IntN(8)))...)
	}},
	{name: "gap", before: func(r *rand.Rand, _ *flow, t *frames.Frame) { t.Seq += uint32(1 + r.IntN(2000)) }},
	{name: "gap from here on", stays: true, before: func(r *rand.Rand, _ *flow, t *frames.Frame) { t.Seq += uint32(1 + r.IntN(2000)) }},
	{name: "overlap", before: func(r *rand.Rand, _ *flow, t *frames.Frame) { t.Seq -= uint32(1 + r.IntN(2000)) }},

	// Rules V6 to V10, W3 and W4, and F2 to F4.
	{name: "another TTL", udp: true, before: func(r *rand.Rand, _ *flow, t *frames.Frame) { t.TTL ^= 1 << r.IntN(6) }},
	{name: "another TOS", udp: true, stays: true, before: func(r *rand.Rand, _ *flow, t *frames.Frame) { t.TOS ^= 1 << r.IntN(8) }},
	{name: "other DF", udp: true, only: 4, before: func(_ *rand.Rand, _ *flow, t *frames.Frame) { t.Fragment ^= dontFragment }},
	{name: "other DF from here on", udp: true, only: 4, stays: true, before: func(_ *rand.Rand, _ *flow, t *frames.Frame) { t.Fragment ^= dontFragment }},
	{name: "another ID", udp: true, only: 4, before: func(r *rand.Rand, _ *flow, t *frames.Frame) { t.ID += uint16(r.IntN(5)) - 2 }},
	{name: "another ID from here on", udp: true, only: 4, stays: true, before: func(_ *rand.Rand, _ *flow, t *frames.Frame) { t.ID++ }},
	{name: "IDs now stay or count", udp: true, only: 4, before: func(_ *rand.Rand, f *flow, _ *frames.Frame) { f.step ^= 1 }},
	{name: "another flow label", udp: true, only: 6, before: func(r *rand.Rand, _ *flow, t *frames.Frame) { t.FlowLabel ^= 1 << r.IntN(20) }},
	{name: "other extension headers", udp: true, only: 6, before: func(r *rand.Rand, f *flow, t *frames.Frame) {
		t.Exts = randomExts(r)
		t.Payload = t.Payload[:min(len(t.Payload), f.room()-48)]
	}},
	{name: "another source port", udp: true, before: func(_ *rand.Rand, _ *flow, t *frames.Frame) { t.SrcPort ^= 0x100 }},
	{name: "another destination address", udp: true, before: func(_ *rand.Rand, _ *flow, t *frames.Frame) { t.Dst = t.Dst.Next() }},
	{name: "another source MAC", udp: true, after: func(_ *rand.Rand, b []byte, _ headers) []byte { b[11] ^= 1; return b }},
	{name: "another tag", udp: true, after: func(r *rand.Rand, b []byte, h headers) []byte {
		if h.vlan != 0 {
			b[h.vlan+r.IntN(2)] ^= 1
		}
		return b
	}},
	{name: "another tag's type", udp: true, after: func(_ *rand.Rand, b []byte, h headers) []byte {
		if h.vlan != 0 {
			b[h.vlan-2] ^= 0x81 ^ 0x88
			b[h.vlan-1] ^= 0xa8
		}
		return b
	}},
	{name: "an unknown EtherType", udp: true, after: func(_ *rand.Rand, b []byte, _ headers) []byte {
		b[12], b[13] = 0x88, 0xb5
		return b
	}},
	{name: "the other L4 protocol's number", udp: true, only: 4, after: func(_ *rand.Rand, b []byte, h headers) []byte {
		set(b, h.l3+9, 132, h.l3+10) // SCTP
		return b
	}},

	// The tunnel header: E2 and E6. Few flows have one.
	{name: "another outer TTL", udp: true, after: outer(func(r *rand.Rand, b []byte, v6 bool, at int) {
		if v6 {
			b[at+7] ^= 1
		} else {
			set(b, at+8, b[at+8]^1, at+10)
		}
	})},
	{name: "another outer TOS", udp: true, after: outer(func(r *rand.Rand, b []byte, v6 bool, at int) {
		if v6 {
			b[at+1] ^= 0x10
		} else {
			set(b, at+1, b[at+1]^1, at+10)
		}
	})},
	{name: "another outer ID", udp: true, after: outer(func(r *rand.Rand, b []byte, v6 bool, at int) {
		if !v6 {
			set(b, at+5, b[at+5]^1<<r.IntN(3), at+10)
		}
	})},
	{name: "outer DF", udp: true, after: outer(func(r *rand.Rand, b []byte, v6 bool, at int) {
		if !v6 {
			set(b, at+6, b[at+6]^0x40, at+10)
		}
	})},
	{name: "another outer source", udp: true, after: outer(func(r *rand.Rand, b []byte, v6 bool, at int) {
		if v6 {
			b[at+23] ^= 1
		} else {
			set(b, at+15, b[at+15]^1, at+10)
		}
	})},

	// Lengths: V4, V5, W1, U3, T1.
	{name: "padding", udp: true, allow: V11, after: func(r *rand.Rand, b []byte, _ headers) []byte {
		return append(b, make([]byte, min(1+r.IntN(6), max(0, 1514-len(b))))...)
	}},
	{name: "truncated", udp: true, allow: V11, after: func(r *rand.Rand, b []byte, h headers) []byte {
		if room := len(b) - h.l4 - 60; room > 0 {
			b = b[:len(b)-1-r.IntN(room)]
		}
		return b
	}},
	{name: "reserved fragment bit", udp: true, only: 4, after: func(_ *rand.Rand, b []byte, h headers) []byte {
		set(b, h.l3+6, b[h.l3+6]|0x80, h.l3+10)
		return b
	}},
	{name: "UDP length", udp: true, allow: V11, after: func(_ *rand.Rand, b []byte, h headers) []byte {
		if h.proto == frames.ProtoUDP {
			b[h.l4+5]--
		}
		return b
	}},
	{name: "data offset", allow: V11, after: func(r *rand.Rand, b []byte, h headers) []byte {
		set(b, h.l4+12, pick[byte](r, 0x40, 0x10), h.l4+16)
		return b
	}},

	{name: "data offset of 60", allow: V11, after: func(_ *rand.Rand, b []byte, h headers) []byte {
		set(b, h.l4+12, 0xf0, h.l4+16) // beyond the packet, or into the payload
		return b
	}},
	{name: "cut in the IP header", udp: true, after: func(r *rand.Rand, b []byte, h headers) []byte {
		first := h.l3
		if h.outer != 0 {
			first = h.outer
		}
		first += 2 // the kernel drops what ends within two bytes of its tag (skb_vlan_untag)
		return b[:first+r.IntN(h.l4+1-first)]
	}},
	{name: "cut in the TCP header", allow: V11, after: func(r *rand.Rand, b []byte, h headers) []byte {
		return b[:h.l4+4+r.IntN(16)]
	}},
	{name: "another version or header length", udp: true, allow: IPv6Version, after: func(r *rand.Rand, b []byte, h headers) []byte {
		if b[h.l3] = 0x75; !h.v6(b) && oneIn(r, 2) {
			b[h.l3] = 0x44
		}
		return b
	}},

	// Headers that GRO does not know: W2, E1, F6.
	{name: "IPv6 fragment", udp: true, only: 6, allow: V11, when: bare, before: func(r *rand.Rand, f *flow, t *frames.Frame) {
		t.Exts = []frames.Ext{{Type: frames.ExtFragment, Body: []byte{0, 0, 1, byte(r.Uint32()), 0, 0, 0}}}
		t.Payload = t.Payload[:min(len(t.Payload), f.room()-8)]
	}},
	{name: "later IPv6 fragment", udp: true, only: 6, when: bare, before: func(r *rand.Rand, f *flow, t *frames.Frame) {
		t.Exts = []frames.Ext{{Type: frames.ExtFragment, Body: []byte{0, 5, 0, byte(r.Uint32()), 0, 0, 0}}}
		t.Payload = t.Payload[:min(len(t.Payload), f.room()-8)]
	}},
	{name: "authentication header", udp: true, only: 6, before: func(r *rand.Rand, f *flow, t *frames.Frame) {
		t.Exts = []frames.Ext{{Type: pick[uint8](r, 51, 135, 60), Body: []byte{0, 0, 0, 0, 0, 0, 0}}}
		t.Payload = t.Payload[:max(0, min(len(t.Payload), f.room()-8))]
	}},
	{name: "another tunnel", udp: true, after: func(_ *rand.Rand, b []byte, h headers) []byte {
		first := h.outer
		if first == 0 || len(b)+20 > largest {
			return b
		}
		o := frames.Frame{Src: address(false, 21), Dst: address(false, 22), Proto: 4, Payload: b[first:]}
		if h.outerV6(b) {
			o.Proto = 41
		}
		out := append(slices.Clone(b[:first]), o.Append(nil)[14:]...)
		binary.BigEndian.PutUint16(out[first-2:], frames.TypeIPv4)
		return out
	}},

	// What GRO does not take, and xrx does not let pass what is held: V11.
	{name: "IP options", udp: true, only: 4, allow: V11, before: func(_ *rand.Rand, f *flow, t *frames.Frame) {
		t.IPOptions = []byte{1, 1, 1, 0}
		t.Payload = t.Payload[:min(len(t.Payload), f.room()-4)]
	}},
	{name: "first fragment", udp: true, only: 4, allow: V11, before: func(_ *rand.Rand, _ *flow, t *frames.Frame) { t.Fragment |= 0x2000 }},
	{name: "later fragment", udp: true, only: 4, before: func(_ *rand.Rand, _ *flow, t *frames.Frame) { t.Fragment |= 100 }},
	{name: "bad IP checksum", udp: true, only: 4, allow: V11, after: func(r *rand.Rand, b []byte, h headers) []byte {
		b[h.l3+10] ^= 1 << r.IntN(8)
		return b
	}},
	{name: "bad L4 checksum", udp: true, allow: V11, after: func(r *rand.Rand, b []byte, h headers) []byte {
		b[len(b)-1] ^= 1 << r.IntN(8)
		return b
	}},
	{name: "bad L4 checksum field", udp: true, allow: V11, after: func(r *rand.Rand, b []byte, h headers) []byte {
		b[sumAt(h)] ^= 1 << r.IntN(8)
		return b
	}},
	{name: "no UDP checksum", udp: true, allow: V11, before: func(_ *rand.Rand, _ *flow, t *frames.Frame) { t.NoChecksum = true }},
}

// bare says that there is nothing between the IPv6 header and the L4 header, nor before it.
func bare(f *flow) bool { return f.outer == nil && len(f.tmpl.Exts) == 0 }

func flag(bit uint8) func(*rand.Rand, *flow, *frames.Frame) {
	return func(_ *rand.Rand, _ *flow, t *frames.Frame) { t.Flags ^= bit }
}

func outer(do func(r *rand.Rand, b []byte, v6 bool, at int)) func(*rand.Rand, []byte, headers) []byte {
	return func(r *rand.Rand, b []byte, h headers) []byte {
		if h.outer != 0 {
			do(r, b, h.outerV6(b), h.outer)
		}
		return b
	}
}

// sumAt returns where the L4 checksum field is.
func sumAt(h headers) int {
	if h.proto == frames.ProtoUDP {
		return h.l4 + 6
	}
	return h.l4 + 16
}

// set writes one byte of what the checksum at sum covers, and updates it (RFC 1624, eqn. 3): a good checksum stays good
// and a bad one bad. Both lie at the same parity from the start of the header.
func set(b []byte, at int, v byte, sum int) {
	shift := 8 * (1 - (at-sum)&1)
	old := uint32(b[at]) << shift
	b[at] = v
	s := uint32(^binary.BigEndian.Uint16(b[sum:])) + (^old & 0xffff) + uint32(v)<<shift
	s = s&0xffff + s>>16
	s = s&0xffff + s>>16
	binary.BigEndian.PutUint16(b[sum:], ^uint16(s))
}
