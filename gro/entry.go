package gro

import (
	"unsafe"

	"xrx/umem"
)

// key is the part of a flow's identity that is complete for plain IPv4: compared as little-endian words.
//
//	k0 Ethernet bytes 0..7    k1 Ethernet bytes 8..13
//	k2 IPv4 source and destination, or the first half of the IPv6 source
//	k3 ports (32 bits), TCI of the in-band VLAN tag (16), shape (8), IP protocol (8)
type key struct{ k0, k1, k2, k3 uint64 }

// wide is the rest of the identity where the shape says so.
//
//	k4 second half of the IPv6 source   k5, k6 IPv6 destination
//	k7 flow label (low 32 bits), hash of the tunnel header's addresses (high)
//	k8 inner tag of QinQ (low 32), tag that the device stripped (high)
type wide struct{ k4, k5, k6, k7, k8 uint64 }

// Bits of a key's shape byte.
const (
	shapeV6     = 1 << iota // the inner header is IPv6
	shapeWide               // wide is part of the identity
	shapeLong               // with shapeWide: so are bytes that only the packet has: tunnel header, IPv6 extension headers
	shapeVLAN               // one in-band tag
	shapeQinQ               // two
	shapeHWVLAN             // a tag that the device stripped
	shapeAD                 // the outer in-band tag is 802.1ad; k1 says so too
)

// layout says where the headers are, in bytes from the packet's start. outer is 0 when there is no tunnel.
type layout struct{ outer, l3, l4, pay uint8 }

// Bits about a packet or an entry.
const (
	bV6         = 1 << iota // inner IPv6
	bOuterV6                // outer IPv6; lay.outer != 0 says that there is an outer header
	bUDP                    // UDP, else TCP
	bPartial                // C3: the checksum field is the pseudo-header sum
	bList                   // chained with headers kept
	bChain                  // some packet has more than one buffer
	bFixed                  // V10: the IP ID may stay (6.9: atomic; 6.18: it did)
	bOuterFixed             // E6: the outer one
)

// entry is a held packet P. The first 64 bytes decide for plain IPv4 without TCP options; nothing of the held packet
// itself is read to find or refuse a match.
type entry struct {
	key
	bits  uint16
	extra uint16 // with bChain: frames beyond one per packet
	hash  uint32
	seq   uint32 // TCP: the next sequence number
	ack   uint32
	word  uint32 // TCP: data offset, flags, window of the first packet; PSH and FIN of merged ones
	l3    uint32 // see pkt.l3
	id    uint16 // IPv4 ID of the first packet
	count uint16 // packets
	gso   uint16 // L4 payload of the first packet
	sum   uint16 // sum of the payload so far

	opt   [5]uint64 // TCP options, as in pkt
	tail  umem.Ref  // last frame of the chain
	total uint32    // bytes from the end of the Ethernet header on: the kernel's skb->len (L1)
	next  uint32    // next entry of the bucket, or next spare one
	older uint32    // list by the time at which the first packet was held (L4 evicts, X1 ages by that)
	newer uint32
	head  umem.Ref

	wide
	lay     layout
	outer   uint32 // outer header's pkt.l3
	outerID uint16
	_       [6]byte
	since   int64 // ns, EndPoll's clock, end of the poll in which the first packet was held; unstamped before that

	tmpl template // what the next packet of a flow that simply goes on looks like
}

const unstamped = -1 << 63

// The layout in cache lines is what the engine's speed rests on: fail the build when it moves.
var (
	_ [256]byte = [unsafe.Sizeof(entry{})]byte{}
	_ [64]byte  = [unsafe.Offsetof(entry{}.opt)]byte{}
	_ [128]byte = [unsafe.Offsetof(entry{}.wide)]byte{}
)
