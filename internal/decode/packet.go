package decode

import (
	"encoding/binary"
	"net/netip"
)

// EtherTypes and IP protocol numbers (IANA).
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeVLAN = 0x8100
	typeIPv6 = 0x86dd
	typeAD   = 0x88a8

	protoHopByHop = 0
	protoICMP     = 1
	protoIPv4     = 4
	protoTCP      = 6
	protoUDP      = 17
	protoIPv6     = 41
	protoRouting  = 43
	protoFragment = 44
	protoDestOpts = 60
	protoICMPv6   = 58
)

// Layer names the header that a packet ends in, as far as its bytes go.
type Layer uint8

const (
	LayerNone  Layer = iota // not even an Ethernet header
	LayerOther              // an EtherType that is not decoded, or an 802.3 length
	LayerARP
	LayerIP // an IP packet whose next header is not decoded, not there, or in another fragment
	LayerTCP
	LayerUDP
	LayerICMP
	LayerICMPv6
)

// Tag is a VLAN tag: its type (8100 or 88a8) and TCI.
type Tag struct{ Type, TCI uint16 }

// ID returns the VLAN's number, 0 to 4095.
func (t Tag) ID() int { return int(t.TCI & 0xfff) }

// IP is what one IP header with its extension headers or options says.
type IP struct {
	Version  uint8 // 4 or 6; 0 = there is none
	Src, Dst netip.Addr
	Proto    uint8 // after extension headers
	BadSum   bool  // IPv4: the header checksum does not verify
	Fragment bool  // a fragment, first or not
	More     bool  // more fragments follow
	ID       uint32
	Offset   int // of the fragment, in bytes
	Header   int // bytes of this header and its options or extension headers
	Payload  int // bytes behind it by the length field (not by what was captured)
}

// Packet is what was found in a packet's bytes. Offsets count from the Ethernet header.
type Packet struct {
	Data      []byte // captured bytes
	Length    int    // bytes of the whole packet, at least len(Data)
	Src, Dst  [6]byte
	Tags      [2]Tag // outermost first
	NumTags   int    // up to 2; more are decoded over, not kept
	EtherType uint16 // behind the tags
	Outer     IP     // tunnel header; Version 0 = none
	IP        IP     // innermost
	Layer     Layer
	Cut       bool // the bytes ended inside the headers: what is not there is 0

	L4               int // where the layer 4 (or ARP) header starts
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Flags            uint8 // TCP: CWR ECE URG ACK PSH RST SYN FIN
	Window, Urgent   uint16
	Options          []byte // TCP
	Payload          int    // bytes behind the layer 4 header by the length fields; without one, behind the IP header
}

// Decode reads data, the captured bytes of a packet that had length bytes on the wire (or after merging), into p.
func (p *Packet) Decode(data []byte, length int) {
	*p = Packet{Data: data, Length: max(length, len(data))}
	if len(data) < 14 {
		p.Cut = true
		return
	}
	copy(p.Dst[:], data)
	copy(p.Src[:], data[6:])
	p.Layer = LayerOther
	p.EtherType = binary.BigEndian.Uint16(data[12:])
	at := 14
	for p.EtherType == typeVLAN || p.EtherType == typeAD {
		if len(data) < at+4 {
			p.Cut = true
			return
		}
		if p.NumTags < len(p.Tags) {
			p.Tags[p.NumTags] = Tag{p.EtherType, binary.BigEndian.Uint16(data[at:])}
			p.NumTags++
		}
		p.EtherType = binary.BigEndian.Uint16(data[at+2:])
		at += 4
	}
	p.L4, p.Payload = at, p.Length-at
	switch p.EtherType {
	case typeIPv4, typeIPv6:
		p.network(at, p.EtherType == typeIPv6)
	case typeARP:
		p.Layer = LayerARP
		p.Cut = len(data) < at+28
	}
}
