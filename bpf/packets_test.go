package bpf_test

import "encoding/binary"

// A packet in tests is bytes written by hand, not by a library that might share an error with the program.

var (
	macB = []byte{0x02, 0, 0, 0, 0, 0x0b}
	macA = []byte{0x02, 0, 0, 0, 0, 0x0a}

	addrA4 = []byte{10, 1, 2, 3}
	addrB4 = []byte{192, 168, 77, 201}
	addrA6 = []byte{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x11}
	addrB6 = []byte{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0x22, 0x22}

	portA, portB = uint16(40001), uint16(443)
)

// ether is an Ethernet frame from A to B.
func ether(typ uint16, payload []byte) []byte {
	b := append(append([]byte{}, macB...), macA...)
	return append(binary.BigEndian.AppendUint16(b, typ), payload...)
}

// vlan puts a tag in front of what is in a frame.
func vlan(tpid, tci uint16, frame []byte) []byte {
	b := append([]byte{}, frame[:12]...)
	b = binary.BigEndian.AppendUint16(b, tpid)
	b = binary.BigEndian.AppendUint16(b, tci)
	return append(b, frame[12:]...)
}

// v4 says what of an IPv4 packet is unlike the plain one.
type v4 struct {
	proto   byte
	options int    // bytes, a multiple of 4
	frag    uint16 // flags and offset, as in the header
	size    int    // of the frame; 0: 8 bytes of payload after the ports
	src     []byte
	dst     []byte
	ports   [2]uint16
}

func proto(p byte) func(*v4)          { return func(h *v4) { h.proto = p } }
func options(n int) func(*v4)         { return func(h *v4) { h.options = n } }
func fragment(f uint16) func(*v4)     { return func(h *v4) { h.frag = f } }
func pad(n int) func(*v4)             { return func(h *v4) { h.size = n } }
func ports(src, dst uint16) func(*v4) { return func(h *v4) { h.ports = [2]uint16{src, dst} } }
func reversed(h *v4) {
	h.src, h.dst = h.dst, h.src
	h.ports[0], h.ports[1] = h.ports[1], h.ports[0]
}
func from(src []byte) func(*v4) { return func(h *v4) { h.src = src } }
func to(dst []byte) func(*v4)   { return func(h *v4) { h.dst = dst } }

// ipv4 is an Ethernet frame with an IPv4 packet, UDP by itself.
func ipv4(changes ...func(*v4)) []byte {
	h := v4{proto: 17, src: addrA4, dst: addrB4, ports: [2]uint16{portA, portB}}
	for _, c := range changes {
		c(&h)
	}
	ip := make([]byte, 20+h.options)
	ip[0] = byte(0x40 | len(ip)/4)
	binary.BigEndian.PutUint16(ip[6:], h.frag)
	ip[8], ip[9] = 64, h.proto
	copy(ip[12:], h.src)
	copy(ip[16:], h.dst)
	for i := 20; i < len(ip); i++ {
		ip[i] = 1 // no operation
	}
	return ether(0x0800, sized(append(ip, l4(h.ports)...), h.size))
}

// ipv6 is an Ethernet frame with an IPv6 packet: next is the first header after the fixed one, ext the
// extension headers' bytes.
func ipv6(next byte, changes ...func(*v4)) []byte { return ipv6ext(next, nil, changes...) }

func ipv6ext(next byte, ext []byte, changes ...func(*v4)) []byte {
	h := v4{src: addrA6, dst: addrB6, ports: [2]uint16{portA, portB}}
	for _, c := range changes {
		c(&h)
	}
	ip := make([]byte, 40)
	ip[0], ip[6], ip[7] = 0x60, next, 64
	copy(ip[8:], h.src)
	copy(ip[24:], h.dst)
	return ether(0x86dd, sized(append(append(ip, ext...), l4(h.ports)...), h.size))
}

// extHeader is a hop-by-hop, routing or destination header of 8+8*words bytes.
func extHeader(next byte, words int) []byte {
	b := make([]byte, 8+8*words)
	b[0], b[1] = next, byte(words)
	return b
}

// fragHeader is an IPv6 fragment header; the offset is in units of 8 bytes.
func fragHeader(next byte, offset uint16, more bool) []byte {
	b := make([]byte, 8)
	b[0] = next
	field := offset << 3
	if more {
		field |= 1
	}
	binary.BigEndian.PutUint16(b[2:], field)
	return b
}

// l4 is the start of an L4 header with ports, and some bytes more.
func l4(ports [2]uint16) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint16(b, ports[0])
	binary.BigEndian.PutUint16(b[2:], ports[1])
	return b
}

// sized makes what follows an Ethernet header so long that the frame has size bytes; 0 leaves it.
func sized(b []byte, size int) []byte {
	if size == 0 {
		return b
	}
	for len(b) < size-14 {
		b = append(b, 0)
	}
	return b[:size-14]
}

func join(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}
