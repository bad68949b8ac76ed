package udpconn

import (
	"encoding/binary"
	"net/netip"

	"xrx"
	"xrx/internal/csum"
	"xrx/internal/headers"
	"xrx/internal/inbox"
	"xrx/umem"
)

// wants reports whether a packet is for the connection, and counts what is for it but can't be delivered.
func (c *Conn) wants(p xrx.Packet) bool {
	var h headers.Packet
	first, total := p.Data(), p.Len()
	if p.IsList() { // several packets: the first speaks for all
		total = len(first)
	}
	problem := h.Parse(first, total)
	if problem == headers.NotIP || h.L4 == 0 || h.Proto != headers.UDP || !c.local.Addr().IsUnspecified() && headers.Addr(h.Dst, h.V6) != c.local.Addr() ||
		h.V6 && c.local.Addr().Is4() {
		return false
	}
	switch {
	case problem == headers.Fragment:
		c.fragments.Add(uint64(p.Count()))
		return false
	case problem == headers.Malformed: // no ports to go by
		return false
	case h.DstPort != c.local.Port():
		return false
	case udpEnd(first, &h) < 0 || !h.V6 && csum.Sum(first[h.L3:h.L4]) != 0xffff:
		c.malformed.Add(uint64(p.Count()))
		return false
	case p.Checksum() == umem.CsumBad:
		c.checksum.Add(uint64(p.Count()))
		return false
	}
	return true
}

// udpEnd returns where the datagram ends by the UDP header's length, below 0 if that can't be.
func udpEnd(b []byte, h *headers.Packet) int {
	length := int(binary.BigEndian.Uint16(b[h.L4+4:]))
	if length < 8 || h.L4+length > h.End {
		return -1
	}
	return h.L4 + length
}

// train is the datagrams of one packet, to be read one after the other.
type train struct {
	item inbox.Item
	held bool

	from    netip.AddrPort
	parts   [][]byte // payload, one datagram's behind the other's
	lengths []int    // of datagrams
	size    int      // of each but the last
	part    int      // where the next one starts: in which part
	at      int      // and at which byte of it
	next    int      // which one is next
}

func (t *train) empty() bool { return t.next == len(t.lengths) }

// release lets the packet go.
func (t *train) release() {
	if t.held {
		t.item.Release()
		t.item, t.held = inbox.Item{}, false
	}
	clear(t.parts)
	t.parts, t.lengths = t.parts[:0], t.lengths[:0]
	t.part, t.at, t.next = 0, 0, 0
}

// load takes a packet that wants has looked at. It returns false, and takes nothing, if a checksum is wrong.
func (t *train) load(it inbox.Item) bool {
	var h headers.Packet
	first := it.Data()
	if it.IsList() {
		for b := range it.Segments() { // verified when they were put together
			if h.Parse(b, len(b)) == headers.OK {
				if end := udpEnd(b, &h); end >= 0 {
					t.parts = append(t.parts, b[h.Payload:end])
					t.lengths = append(t.lengths, end-h.Payload)
				}
			}
		}
		t.size = it.GSOSize()
	} else {
		h.Parse(first, it.Len())
		end := udpEnd(first, &h)
		left := end - h.Payload
		for b := range it.Segments() {
			if len(t.parts) == 0 {
				b = b[h.Payload:]
			}
			b = b[:min(len(b), left)] // no padding
			t.parts = append(t.parts, b)
			left -= len(b)
		}
		if left > 0 || !t.intact(first, &h, end, it.Checksum()) {
			t.release()
			return false
		}
		t.size = it.GSOSize()
		for left = end - h.Payload; it.Count() > 1 && left > t.size; left -= t.size {
			t.lengths = append(t.lengths, t.size)
		}
		t.lengths = append(t.lengths, left)
	}
	t.from = netip.AddrPortFrom(headers.Addr(h.Src, h.V6), h.SrcPort)
	t.item, t.held = it, true
	return true
}

// intact verifies the checksum where nobody has.
func (t *train) intact(first []byte, h *headers.Packet, end int, known umem.Csum) bool {
	field := binary.NativeEndian.Uint16(first[h.L4+6:])
	if field == 0 && known != umem.CsumPartial { // none: IPv6 wants one (RFC 8200, section 8.1)
		return !h.V6
	}
	if known != umem.CsumUnknown {
		return known != umem.CsumBad
	}
	var sum uint16
	if h.V6 {
		sum = csum.PseudoIPv6(h.Src[:], h.Dst[:], headers.UDP, end-h.L4)
	} else {
		sum = csum.PseudoIPv4(h.Src[:], h.Dst[:], headers.UDP, end-h.L4)
	}
	if field == sum { // only the pseudo-header's: a sender on this machine left the rest to a NIC that never was
		return true
	}
	sum = csum.Add(sum, csum.Sum(first[h.L4:h.Payload]))
	odd := false
	for _, b := range t.parts {
		part := csum.Sum(b)
		if odd {
			part = csum.Swap(part)
		}
		sum = csum.Add(sum, part)
		odd = odd != (len(b)&1 != 0)
	}
	return sum == 0xffff
}

// read copies the next datagram; what does not fit is lost, as from a socket.
func (t *train) read(b []byte) (n int) {
	left := t.lengths[t.next]
	for left > 0 {
		from := t.parts[t.part][t.at:]
		k := min(len(from), left)
		n += copy(b[n:], from[:k])
		left -= k
		if t.at += k; t.at == len(t.parts[t.part]) {
			t.part, t.at = t.part+1, 0
		}
	}
	t.next++
	return n
}
