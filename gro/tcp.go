package gro

import (
	"xrx/internal/csum"
	"xrx/umem"
)

// Flags in the 32-bit word at offset 12 of the TCP header: data offset, reserved bits, flags, window.
const (
	tcpFIN = 0x01 << 16
	tcpSYN = 0x02 << 16
	tcpRST = 0x04 << 16
	tcpPSH = 0x08 << 16
	tcpURG = 0x20 << 16
	tcpCWR = 0x80 << 16

	tcpWindow = 0xffff
)

// tcp reads the TCP header at off of b, where n bytes are left of the datagram.
func (e *Engine) tcp(h *umem.Header, pk *pkt, b []byte, off, n int) {
	l4 := b[off:]
	if len(l4) < 20 || n < 20 {
		if len(l4) >= 4 && n >= 4 { // the ports are there, so P can be completed first
			if n < 20 {
				pk.refuse(TCPHeader) // T1
			} else {
				pk.refuse(SplitHeaders)
			}
			pk.ports(l4, protoTCP)
			e.seal(pk)
			return
		}
		pk.refuse(Short)
		pk.headersElsewhere(h)
		return
	}
	pk.ports(l4, protoTCP)
	e.seal(pk)
	pk.seq, pk.ack, pk.word = be.Uint32(l4[4:]), be.Uint32(l4[8:]), be.Uint32(l4[12:])
	hl := int(pk.word >> 28 * 4)
	if hl < 20 || hl > n { // T1
		pk.refuse(TCPHeader)
		return
	}
	if hl > len(l4) {
		pk.refuse(SplitHeaders)
		return
	}
	pk.lay.pay = uint8(off + hl)
	pk.pay = uint32(n - hl)
	if hl > 20 {
		pk.tcpOptions(l4[20:hl])
	}
	e.checksum(h, pk, b, off, n, hl, l4[16:18], TCPChecksum, TCPPartial)
	switch { // T12: what can never be merged, whatever P is
	case pk.pay == 0:
		pk.refuse(TCPEmpty)
	case pk.word&(tcpSYN|tcpRST|tcpURG) != 0:
		pk.refuse(TCPFlags)
	}
	pk.final = pk.word&(tcpPSH|tcpFIN) != 0
}

// ports completes the key.
func (pk *pkt) ports(l4 []byte, proto uint64) {
	pk.k3 |= uint64(le.Uint32(l4)) | proto<<56
	if proto == protoUDP {
		pk.bits |= bUDP
	}
}

// tcpOptions copies 4 to 40 bytes of options into words that are equal iff the options are (their length is compared
// with the data offset).
func (pk *pkt) tcpOptions(o []byte) {
	for i := 0; len(o) >= 8; i++ {
		pk.opt[i] = le.Uint64(o)
		o = o[8:]
		if len(o) == 4 {
			pk.opt[i+1] = uint64(le.Uint32(o))
			return
		}
	}
	if len(o) == 4 {
		pk.opt[0] = uint64(le.Uint32(o))
	}
}

// checksum verifies the L4 checksum over n bytes at off of the packet, of which hl are header, unless the policy or
// the packet says that this can't or need not be done, and keeps the payload's sum. field is the checksum field.
func (e *Engine) checksum(h *umem.Header, pk *pkt, b []byte, off, n, hl int, field []byte, bad, partial Reason) {
	if pk.noSum || (e.cfg.Verify == VerifyMerge && pk.verdict != None) {
		return
	}
	pseudo := pk.pseudo(b, n)
	head := csum.Add(pseudo, csum.Sum(b[off:off+hl]))
	if e.cfg.Verify == VerifyOff {
		// Taken as intact, the sum of the payload is what makes the total 0xffff. Should it be wrong, the completed
		// checksum will be wrong by as much: nothing is laundered.
		pk.sum = ^head
		return
	}
	pk.sum = e.sum(h, b, off+hl, n-hl)
	if csum.Add(head, pk.sum) == 0xffff {
		h.Csum = umem.CsumOK
		return
	}
	if ne.Uint16(field) == pseudo { // C3
		h.Csum = umem.CsumPartial
		pk.bits |= bPartial
		e.st.Partial++
		if e.cfg.KeepPartial {
			pk.refuse(partial)
		}
		return
	}
	h.Csum = umem.CsumBad
	pk.refuse(bad)
}

// pseudo returns the sum of the pseudo-header for n bytes of L4.
func (pk *pkt) pseudo(b []byte, n int) uint16 {
	l3 := b[pk.lay.l3:]
	if pk.bits&bV6 != 0 {
		return csum.PseudoIPv6(l3[8:24], l3[24:40], uint8(pk.k3>>56), n)
	}
	return csum.PseudoIPv4(l3[12:16], l3[16:20], uint8(pk.k3>>56), n)
}

// sum returns the sum of n bytes at off of the packet, over all its buffers. b is the first buffer.
func (e *Engine) sum(h *umem.Header, b []byte, off, n int) uint16 {
	if off+n <= len(b) {
		return csum.Sum(b[off : off+n])
	}
	s, odd := csum.Sum(b[off:]), (len(b)-off)&1 != 0
	n -= len(b) - off
	for f := e.u.Deref(h.Seg); f != nil && n > 0; f = e.u.Deref(f.Seg) {
		b = f.Bytes()
		b = b[:min(n, len(b))]
		t := csum.Sum(b)
		if odd {
			t = csum.Swap(t)
		}
		s = csum.Add(s, t)
		odd = odd != (len(b)&1 != 0)
		n -= len(b)
	}
	return s
}
