package gro

import (
	"xrx/umem"
)

// Ports whose datagrams are counted as tunnels (E4, E5).
const portVXLAN, portGeneve = 4789, 6081

// udp reads the UDP header at off of b, where n bytes are left of the datagram.
func (e *Engine) udp(h *umem.Header, pk *pkt, b []byte, off, n int) {
	l4 := b[off:]
	if len(l4) < 8 || n < 8 {
		pk.refuse(Short)
		pk.headersElsewhere(h)
		return
	}
	pk.ports(l4, protoUDP)
	port, ulen := be.Uint16(l4[2:]), int(be.Uint16(l4[4:]))
	if e.udpPorts[port/64]>>(port%64)&1 != 0 { // U1
		e.seal(pk)
	} else {
		pk.refuse(e.unoptedPort(port))
	}
	pk.lay.pay = uint8(off + 8)
	pk.pay = uint32(n - 8)
	if ne.Uint16(l4[6:]) == 0 { // U2
		h.Csum = umem.CsumNone
		pk.refuse(UDPZero)
		return
	}
	if ulen <= 8 || ulen != n { // U3
		pk.refuse(UDPLength)
		if ulen < 8 || ulen > n {
			return
		}
	}
	e.checksum(h, pk, b, off, ulen, 8, l4[6:8], UDPChecksum, UDPPartial)
}

// unoptedPort returns why datagrams to a port that is not opted in are not merged.
func (e *Engine) unoptedPort(port uint16) Reason {
	switch {
	case e.cfg.Off:
		return Off
	case port == portVXLAN || port == portGeneve:
		return TunnelUDP
	}
	return UDPOff
}
