package umem

import (
	"encoding/binary"

	"xrx/internal/prefetch"
)

// MetaFlags say what the fields of Meta hold and where they come from. Same bits as XRX_FLAG_* in bpf/.
type MetaFlags uint8

const (
	HashL4     MetaFlags = 1 << iota // the hash covers the ports
	HashHW                           // the hash is the device's
	VLANInBand                       // VLANTCI was read from the packet, which still carries the tag
	VLANHW                           // VLANTCI was stripped by the device
	VLANAD                           // the tag is 802.1ad (88a8), not 802.1Q
	Frag                             // an IP fragment
	HashSym                          // the hash is the same in both directions
)

// Meta is what the XDP program wrote in front of the packet. Absent values are 0 with their flag unset; the zero Meta
// is "none". Kind is 0 (none), 1 (12 bytes) or 2 (20 bytes: with the receive time).
type Meta struct {
	Timestamp uint64 // device receive time in ns, the device's clock; 0 = absent
	Hash      uint32 // flow hash; 0 = absent
	VLANTCI   uint16 // outermost tag's TCI (priority, DEI, id); valid with VLANInBand or VLANHW
	Flags     MetaFlags
	Kind      uint8
	L3        uint8 // 4, 6, or 0 = not IP
	L3Off     uint8 // bytes from packet start to the IP header
	L4Off     uint8 // bytes from packet start to the TCP/UDP/.. header; 0 = none, too far, or not the first fragment
	L4Proto   uint8 // IP protocol number after extension headers
}

const (
	metaKind1, metaLen1 = 0x13, 12 // tag: kind<<4 | length/4
	metaKind2, metaLen2 = 0x25, 20
)

// Meta decodes the metadata in front of h's packet. expected is the Umem's PacketOffset: a packet that another XDP
// program moved has no metadata of ours in front of it.
func (h *Header) Meta(expected int) (m Meta) {
	if int(h.Off) != expected {
		return m
	}
	b := h.Before(metaLen2)
	switch b[metaLen2-1] {
	case metaKind2:
		m.Timestamp = binary.NativeEndian.Uint64(b)
		m.Kind = 2
	case metaKind1:
		m.Kind = 1
	default:
		return m
	}
	m.Hash = binary.NativeEndian.Uint32(b[8:])
	m.VLANTCI = binary.NativeEndian.Uint16(b[12:])
	m.Flags = MetaFlags(b[14])
	m.L3, m.L3Off, m.L4Off, m.L4Proto = b[15], b[16], b[17], b[18]
	return m
}

// Fetch asks for the packet's metadata and its first n bytes, which will be read soon. They were written by the processor
// that brought the packet (docs/adr/0013).
func (h *Header) Fetch(n int) { prefetch.Lines(h.Before(64), 64+min(n, int(h.Len))) }
