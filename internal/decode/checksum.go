package decode

import (
	"encoding/binary"

	"xrx/internal/csum"
)

// Checksum is what is known about a packet's checksums.
type Checksum string

const (
	OK      Checksum = "ok"      // the layer 4 checksum verifies, and the IPv4 header's
	Partial Checksum = "partial" // only the pseudo-header's sum is there: a local sender's
	Bad     Checksum = "bad"     // one of them does not verify
	NoSum   Checksum = "none"    // there is none, or not all that it covers: other protocols, UDP 0, fragments, cut packets
)

// Verify computes the checksums of the innermost packet. Only a whole one (all its bytes in Data) gets another answer
// than NoSum, or Bad where an IPv4 header is.
func (p *Packet) Verify() Checksum {
	if p.BadHeader() {
		return Bad
	}
	if p.Cut || p.IP.Fragment || p.Outer.Fragment || p.L4+p.IP.Payload > len(p.Data) {
		return NoSum
	}
	b := p.Data[p.L4 : p.L4+p.IP.Payload]
	var field []byte
	switch p.Layer {
	case LayerTCP:
		field = b[16:18]
	case LayerUDP:
		b = b[:8+p.Payload]
		if field = b[6:8]; field[0]|field[1] == 0 {
			return NoSum
		}
	case LayerICMP:
		return verdict(csum.Sum(b) == 0xffff)
	case LayerICMPv6:
	default:
		return NoSum
	}
	pseudo := p.pseudo(len(b))
	if csum.Add(pseudo, csum.Sum(b)) == 0xffff {
		return OK
	}
	if field != nil && binary.NativeEndian.Uint16(field) == pseudo {
		return Partial
	}
	return Bad
}

// BadHeader reports whether an IPv4 header's checksum does not verify.
func (p *Packet) BadHeader() bool { return p.IP.BadSum || p.Outer.BadSum }

func verdict(ok bool) Checksum {
	if ok {
		return OK
	}
	return Bad
}

func (p *Packet) pseudo(n int) uint16 {
	if p.IP.Version == 4 {
		src, dst := p.IP.Src.As4(), p.IP.Dst.As4()
		return csum.PseudoIPv4(src[:], dst[:], p.IP.Proto, n)
	}
	src, dst := p.IP.Src.As16(), p.IP.Dst.As16()
	return csum.PseudoIPv6(src[:], dst[:], p.IP.Proto, n)
}
