package oracle

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"

	"xrx/internal/frames"
)

// UDPPorts are the destination ports of the UDP flows: an engine has to be opted in for them.
var UDPPorts = []uint16{4433, 5001, 9000}

// MACs of the frames. The destination is nobody's, so the kernel's stack drops what its GRO delivered and answers
// nothing.
var srcMAC, dstMAC = net.HardwareAddr{2, 0, 0, 0, 0, 0x0a}, net.HardwareAddr{2, 0, 0, 0, 0, 0x7f}

const (
	dontFragment = 0x4000
	largest      = 1514 // bytes of a frame, tags included
)

// tunnel is the outer header of a tunnelled flow: 4 or 6, and the frame that describes it.
type tunnel struct {
	frames.Frame
	step uint16 // of the outer ID
}

// flow makes the frames of one flow, in order.
type flow struct {
	n     int
	tmpl  frames.Frame // what the next packet looks like
	outer *tunnel
	size  int    // usual payload
	step  uint16 // of the IP ID from packet to packet
}

// newFlow makes flow n of a burst. Flows of a burst may share addresses and ports, and differ in something else.
func newFlow(r *rand.Rand, n int) *flow {
	f := &flow{n: n}
	t := &f.tmpl
	*t = frames.Frame{SrcMAC: srcMAC, DstMAC: dstMAC, Proto: frames.ProtoTCP, Flags: frames.ACK,
		SrcPort: uint16(40000 + n), DstPort: UDPPorts[r.IntN(len(UDPPorts))],
		TTL: 64, Window: uint16(r.Uint32()), Ack: r.Uint32(), Seq: r.Uint32(), ID: uint16(r.Uint32())}
	if oneIn(r, 4) {
		t.Seq = -uint32(r.IntN(5000)) // wraps soon
	}
	if oneIn(r, 4) {
		t.ID = -uint16(r.IntN(10))
	}
	if oneIn(r, 3) {
		t.Proto = frames.ProtoUDP
	}
	v6 := oneIn(r, 3)
	t.Src, t.Dst = address(v6, 1), address(v6, 2)
	t.TOS = pick[uint8](r, 0, 0, 0, 2, 0xb8)
	if v6 {
		t.FlowLabel = pick[uint32](r, 0, 0, 0xfffff, 0x12345)
		if oneIn(r, 5) {
			t.Exts = randomExts(r)
		}
	} else {
		t.Fragment = pick[uint16](r, 0, dontFragment, dontFragment)
		f.step = pick[uint16](r, 0, 1, 1, 1, 2)
	}
	switch r.IntN(8) {
	case 0:
		t.VLANs = []frames.VLAN{{TCI: uint16(r.IntN(3))<<13 | uint16(1+r.IntN(3))}}
	case 1:
		t.VLANs = []frames.VLAN{{TPID: frames.TypeQinQ, TCI: 100}, {TCI: uint16(1 + r.IntN(3))}}
	}
	if t.Proto == frames.ProtoTCP {
		t.TCPOptions = randomOptions(r)
	}
	if oneIn(r, 5) {
		outer6 := oneIn(r, 3)
		f.outer = &tunnel{frames.Frame{SrcMAC: srcMAC, DstMAC: dstMAC, Src: address(outer6, 11), Dst: address(outer6, 12),
			Proto: 4, TTL: 63, Fragment: pick[uint16](r, 0, dontFragment), ID: uint16(r.Uint32())}, pick[uint16](r, 0, 1, 1)}
		if v6 {
			f.outer.Proto = 41
		}
	}
	f.size = min(f.room(), pick(r, 1, 2, 33, 100, 536, 1001, 1400, 1460))
	return f
}

// room returns the most payload that fits.
func (f *flow) room() int {
	n := largest - f.tmpl.Headers()
	if f.outer != nil {
		n -= f.outer.Headers() - 14
	}
	return n
}

// build returns the bytes of a packet of the flow, in its tunnel.
func (f *flow) build(t *frames.Frame) []byte {
	if f.outer == nil {
		return t.Append(nil)
	}
	inner := *t
	inner.VLANs = nil
	o := f.outer.Frame
	o.VLANs = t.VLANs
	o.Payload = inner.Append(nil)[14:]
	return o.Append(nil)
}

// advance makes the template that of the packet after one with n bytes of payload.
func (f *flow) advance(n int) {
	f.tmpl.Seq += uint32(n)
	f.tmpl.ID += f.step
	if f.outer != nil {
		f.outer.ID += f.outer.step
	}
}

// breaker returns a packet like t that completes what is held of the flow and does nothing else: its (outer) IP length
// is one byte less than the frame's. mark tells one from another.
func (f *flow) breaker(t frames.Frame, mark int) []byte {
	t.Payload = fmt.Appendf(nil, "break %04d", mark)
	b := f.build(&t)
	l3 := b[14+4*len(t.VLANs):]
	if l3[0]>>4 == 6 {
		binary.BigEndian.PutUint16(l3[4:], binary.BigEndian.Uint16(l3[4:])-1)
		return b
	}
	binary.BigEndian.PutUint16(l3[2:], binary.BigEndian.Uint16(l3[2:])-1)
	binary.BigEndian.PutUint16(l3[10:], 0)
	binary.BigEndian.PutUint16(l3[10:], frames.Checksum(l3[:20], 0))
	return b
}

func (f *flow) String() string {
	l4 := "tcp"
	if f.tmpl.Proto == frames.ProtoUDP {
		l4 = "udp"
	}
	s := fmt.Sprintf("flow %d %s%d", f.n, l4, family(f.tmpl.Src))
	if f.outer != nil {
		s += fmt.Sprintf(" in ip%d", family(f.outer.Src))
	}
	return s
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}

func address(v6 bool, host byte) netip.Addr {
	if v6 {
		return netip.AddrFrom16([16]byte{0xfd, 0, 0, 0x11, 15: host})
	}
	return netip.AddrFrom4([4]byte{10, 11, 0, host})
}

// randomOptions returns no options, timestamps, or what fills all 40 bytes.
func randomOptions(r *rand.Rand) []byte {
	n := pick(r, 0, 0, 12, 12, 12, 4, 20, 40)
	o := make([]byte, n)
	for i := range o {
		o[i] = 1 // NOP
	}
	if n >= 12 {
		o[n-10], o[n-9] = 8, 10
		binary.BigEndian.PutUint64(o[n-8:], r.Uint64())
	}
	return o
}

// randomExts returns one or two extension headers that the kernel walks (W2), filled with PadN.
func randomExts(r *rand.Rand) []frames.Ext {
	ext := func(kind uint8) frames.Ext {
		n := r.IntN(2)
		body := make([]byte, 7+8*n)
		body[0] = uint8(n)
		body[1], body[2] = 1, uint8(len(body)-3)
		if kind == frames.ExtRouting {
			body[1], body[2] = 4, 0 // segment routing, nothing left to visit
		}
		return frames.Ext{Type: kind, Body: body}
	}
	switch r.IntN(4) {
	case 0:
		return []frames.Ext{ext(frames.ExtHopByHop)}
	case 1:
		return []frames.Ext{ext(frames.ExtDestOpts)}
	case 2:
		return []frames.Ext{ext(frames.ExtRouting)}
	}
	return []frames.Ext{ext(frames.ExtHopByHop), ext(frames.ExtDestOpts)}
}

func oneIn(r *rand.Rand, n int) bool { return r.IntN(n) == 0 }

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }
