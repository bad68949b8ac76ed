package gro

import (
	"encoding/binary"

	"xrx/umem"
)

var (
	be = binary.BigEndian
	le = binary.LittleEndian
	ne = binary.NativeEndian
)

// pkt is what the engine reads from one packet, once.
type pkt struct {
	key
	wide
	opt [5]uint64 // TCP options: see tcpOptions; the first two words are always set, the rest if used

	hash uint32
	seq  uint32
	ack  uint32
	word uint32 // TCP header word at offset 12
	l3   uint32 // IPv4: tos<<16 | ttl<<8 | flag byte & DF; IPv6: class<<16 | hop limit<<8
	pay  uint32 // L4 payload bytes
	room uint32 // bytes from the end of the Ethernet header to the end of the packet

	outer   uint32 // l3 of the tunnel header
	outerID uint16
	id      uint16
	sum     uint16 // sum of the payload; for partial checksums unused
	bits    uint16
	lay     layout

	verdict Reason // not None: not for merging, because ..
	keyed   bool   // key and hash are valid: P can be looked up
	final   bool   // T12: PSH or FIN
	noSum   bool   // the L4 checksum covers more than this packet has (fragment, truncated)
}

// refuse notes why the packet is not for merging; the first reason stays.
func (pk *pkt) refuse(r Reason) {
	if pk.verdict == None {
		pk.verdict = r
	}
}

// optWords returns how many words of opt the TCP options take: of a TCP header word (the data offset), 0 for UDP.
func optWords(word uint32) int { return (int(word>>28) - 4) / 2 }

func (pk *pkt) shape() uint8 { return uint8(pk.k3 >> 48) }

// ethTail is the second word of the key: what the first, Ethernet bytes 0..7, leaves.
func ethTail(b []byte) uint64 { return uint64(le.Uint32(b[8:])) | uint64(le.Uint16(b[12:]))<<32 }

// sameWide compares what the first four words of the key don't hold.
func (e *Engine) sameWide(en *entry, h *umem.Header, pk *pkt) bool {
	if en.wide != pk.wide {
		return false
	}
	return pk.shape()&shapeLong == 0 || sameLong(e.u.Deref(en.head).Bytes(), h.Bytes(), en, pk)
}
