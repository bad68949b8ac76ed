package frames

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// EtherTypes and IP protocol numbers (IANA).
const (
	TypeIPv4 = 0x0800
	TypeIPv6 = 0x86dd
	TypeVLAN = 0x8100 // 802.1Q
	TypeQinQ = 0x88a8 // 802.1ad

	ProtoTCP = 6
	ProtoUDP = 17

	ExtHopByHop = 0
	ExtRouting  = 43
	ExtFragment = 44
	ExtDestOpts = 60
)

// TCP flags (RFC 9293, section 3.1; CWR and ECE RFC 3168).
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// MinSize is the shortest Ethernet frame without its FCS, bytes; Append pads
// to it when Frame.Pad is set.
const MinSize = 60

// VLAN is one tag. The zero TPID means TypeVLAN.
type VLAN struct {
	TPID uint16
	TCI  uint16 // priority, DEI, VLAN id
}

// Ext is one IPv6 extension header. Body is what follows the next-header byte,
// the length byte included: 7 + 8n bytes (RFC 8200, section 4).
type Ext struct {
	Type uint8
	Body []byte
}

// Frame describes one frame. Src and Dst decide between IPv4 and IPv6; when
// they are invalid the payload follows the Ethernet header as EtherType says.
type Frame struct {
	SrcMAC, DstMAC net.HardwareAddr // nil means all zero, broadcast
	VLANs          []VLAN           // outermost first
	EtherType      uint16           // only without addresses

	Src, Dst  netip.Addr
	TOS       uint8  // IPv4 TOS, IPv6 traffic class
	TTL       uint8  // 0 means 64
	ID        uint16 // IPv4 identification
	FlowLabel uint32 // IPv6, 20 bits
	Fragment  uint16 // IPv4 flags and fragment offset as on the wire: DF 0x4000, MF 0x2000
	IPOptions []byte // IPv4, a multiple of 4 bytes, at most 40
	Exts      []Ext  // IPv6

	Proto            uint8 // ProtoTCP, ProtoUDP, else the payload follows the IP header
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Flags            uint8
	Window, Urgent   uint16
	TCPOptions       []byte // a multiple of 4 bytes, at most 40

	// NoL4 leaves the L4 header out: the payload follows the IP headers, as
	// in every fragment but the first. An IPv4 fragment offset implies it.
	NoL4       bool
	NoChecksum bool // UDP: checksum 0, "not computed"
	// PartialChecksum leaves the pseudo-header sum in the TCP or UDP
	// checksum field, as a sender with checksum offload does.
	PartialChecksum bool

	Payload []byte
	Pad     bool // with zeroes, to MinSize
}

// UDP describes a datagram between two addresses of one family.
func UDP(src, dst netip.AddrPort, payload []byte) Frame {
	return Frame{
		Src: src.Addr(), Dst: dst.Addr(), Proto: ProtoUDP,
		SrcPort: src.Port(), DstPort: dst.Port(), Payload: payload,
	}
}

// TCP describes a data segment with ACK set between two addresses.
func TCP(src, dst netip.AddrPort, seq uint32, payload []byte) Frame {
	return Frame{
		Src: src.Addr(), Dst: dst.Addr(), Proto: ProtoTCP,
		SrcPort: src.Port(), DstPort: dst.Port(),
		Seq: seq, Ack: 1, Flags: ACK, Window: 65535, Payload: payload,
	}
}

// Append appends the frame's bytes to b and returns the extended slice. It
// allocates only where b is too short.
func (f *Frame) Append(b []byte) []byte {
	start := len(b)
	b = f.appendEthernet(b)
	l3 := len(b)
	switch {
	case f.isIPv4():
		b = f.appendIPv4(b)
	case f.isIPv6():
		b = f.appendIPv6(b)
	}
	l4 := len(b)
	b = f.appendL4(b)
	b = append(b, f.Payload...)
	f.finish(b[l3:], l4-l3)
	for f.Pad && len(b)-start < MinSize {
		b = append(b, 0)
	}
	return b
}

// Headers returns the number of bytes before the payload.
func (f *Frame) Headers() int {
	n := 14 + 4*len(f.VLANs)
	switch {
	case f.isIPv4():
		n += 20 + len(f.IPOptions)
	case f.isIPv6():
		n += 40
		for _, e := range f.Exts {
			n += 1 + len(e.Body)
		}
	}
	if !f.hasL4() {
		return n
	}
	switch f.Proto {
	case ProtoTCP:
		n += 20 + len(f.TCPOptions)
	case ProtoUDP:
		n += 8
	}
	return n
}

func (f *Frame) isIPv4() bool { return f.Src.Is4() }
func (f *Frame) isIPv6() bool { return f.Src.Is6() }

func (f *Frame) hasL4() bool {
	return f.Src.IsValid() && !f.NoL4 && !(f.isIPv4() && f.Fragment&0x1fff != 0)
}

var (
	broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	noMAC     [6]byte
)

func (f *Frame) appendEthernet(b []byte) []byte {
	if f.DstMAC != nil {
		b = append(b, f.DstMAC...)
	} else {
		b = append(b, broadcast[:]...)
	}
	if f.SrcMAC != nil {
		b = append(b, f.SrcMAC...)
	} else {
		b = append(b, noMAC[:]...)
	}
	for _, v := range f.VLANs {
		tpid := v.TPID
		if tpid == 0 {
			tpid = TypeVLAN
		}
		b = binary.BigEndian.AppendUint16(b, tpid)
		b = binary.BigEndian.AppendUint16(b, v.TCI)
	}
	etherType := f.EtherType
	switch {
	case f.isIPv4():
		etherType = TypeIPv4
	case f.isIPv6():
		etherType = TypeIPv6
	}
	return binary.BigEndian.AppendUint16(b, etherType)
}

func (f *Frame) ttl() uint8 {
	if f.TTL == 0 {
		return 64
	}
	return f.TTL
}

// appendIPv4 writes the header (RFC 791); finish fills length and checksum in.
func (f *Frame) appendIPv4(b []byte) []byte {
	ihl := uint8(5 + len(f.IPOptions)/4)
	src, dst := f.Src.As4(), f.Dst.As4()
	b = append(b, 4<<4|ihl, f.TOS, 0, 0)
	b = binary.BigEndian.AppendUint16(b, f.ID)
	b = binary.BigEndian.AppendUint16(b, f.Fragment)
	b = append(b, f.ttl(), f.Proto, 0, 0)
	b = append(b, src[:]...)
	b = append(b, dst[:]...)
	return append(b, f.IPOptions...)
}

// appendIPv6 writes the header and its extensions (RFC 8200); finish fills the
// length in.
func (f *Frame) appendIPv6(b []byte) []byte {
	src, dst := f.Src.As16(), f.Dst.As16()
	b = binary.BigEndian.AppendUint32(b, 6<<28|uint32(f.TOS)<<20|f.FlowLabel&0xfffff)
	next := f.Proto
	if len(f.Exts) > 0 {
		next = f.Exts[0].Type
	}
	b = append(b, 0, 0, next, f.ttl())
	b = append(b, src[:]...)
	b = append(b, dst[:]...)
	for i, e := range f.Exts {
		next = f.Proto
		if i+1 < len(f.Exts) {
			next = f.Exts[i+1].Type
		}
		b = append(b, next)
		b = append(b, e.Body...)
	}
	return b
}

// appendL4 writes the TCP or UDP header; finish fills length and checksum in.
func (f *Frame) appendL4(b []byte) []byte {
	if !f.hasL4() {
		return b
	}
	switch f.Proto {
	case ProtoUDP:
		b = binary.BigEndian.AppendUint16(b, f.SrcPort)
		b = binary.BigEndian.AppendUint16(b, f.DstPort)
		b = append(b, 0, 0, 0, 0)
	case ProtoTCP:
		b = binary.BigEndian.AppendUint16(b, f.SrcPort)
		b = binary.BigEndian.AppendUint16(b, f.DstPort)
		b = binary.BigEndian.AppendUint32(b, f.Seq)
		b = binary.BigEndian.AppendUint32(b, f.Ack)
		b = append(b, uint8(5+len(f.TCPOptions)/4)<<4, f.Flags)
		b = binary.BigEndian.AppendUint16(b, f.Window)
		b = append(b, 0, 0)
		b = binary.BigEndian.AppendUint16(b, f.Urgent)
		b = append(b, f.TCPOptions...)
	}
	return b
}

// finish fills in lengths and checksums of the IP packet, whose L4 header is at
// l4 bytes.
func (f *Frame) finish(packet []byte, l4 int) {
	switch {
	case f.isIPv4():
		binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)))
		header := packet[:20+len(f.IPOptions)]
		binary.BigEndian.PutUint16(header[10:], Checksum(header, 0))
	case f.isIPv6():
		binary.BigEndian.PutUint16(packet[4:], uint16(len(packet)-40))
	default:
		return
	}
	if !f.hasL4() {
		return
	}
	segment := packet[l4:]
	pseudo := PseudoSum(f.Src, f.Dst, f.Proto, len(segment))
	at := 16
	switch f.Proto {
	case ProtoUDP:
		binary.BigEndian.PutUint16(segment[4:], uint16(len(segment)))
		if f.NoChecksum {
			return
		}
		at = 6
	case ProtoTCP:
	default:
		return
	}
	sum := Checksum(segment, pseudo)
	if f.PartialChecksum {
		sum = fold(pseudo)
	}
	if sum == 0 && f.Proto == ProtoUDP {
		sum = 0xffff // RFC 768: zero means "no checksum"
	}
	binary.BigEndian.PutUint16(segment[at:], sum)
}
