package decode

import (
	"encoding/binary"
	"net/netip"

	"xrx/internal/csum"
)

// network reads the IP header at an offset, one tunnelled in it, and the header behind them.
func (p *Packet) network(at int, v6 bool) {
	if !p.readIP(at, p.Length-at, v6) {
		return
	}
	p.Layer = LayerIP
	at += p.IP.Header
	if (p.IP.Proto == protoIPv4 || p.IP.Proto == protoIPv6) && p.IP.Offset == 0 {
		outer := p.IP
		if p.readIP(at, outer.Payload, outer.Proto == protoIPv6) {
			p.Outer = outer
			at += p.IP.Header
		} else {
			p.IP = outer // what can't be read stays payload
		}
	}
	p.L4, p.Payload = at, p.IP.Payload
	if p.IP.Offset == 0 {
		p.transport(at)
	}
}

// readIP reads the header at an offset into p.IP; room is how many bytes the packet has from there. It returns false
// where there is none to be read.
func (p *Packet) readIP(at, room int, v6 bool) bool {
	p.IP = IP{}
	if at > len(p.Data) {
		p.Cut = true
		return false
	}
	b := p.Data[at:]
	if v6 {
		return p.readIPv6(b, room)
	}
	if len(b) < 20 || room < 20 {
		p.Cut = true
		return false
	}
	hl := int(b[0]&15) * 4
	if b[0]>>4 != 4 || hl < 20 {
		return false
	}
	i := &p.IP
	i.Version = 4
	i.Src, i.Dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	i.Proto, i.Header, i.ID = b[9], hl, uint32(binary.BigEndian.Uint16(b[4:]))
	frag := binary.BigEndian.Uint16(b[6:])
	i.More, i.Offset = frag&0x2000 != 0, int(frag&0x1fff)*8
	i.Fragment = i.More || i.Offset != 0
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 { // a sender's segmentation offload, or BIG TCP: as long as it is
		total = room
	}
	i.Payload = max(0, total-hl)
	if hl > len(b) {
		p.Cut = true
		return true
	}
	i.BadSum = csum.Sum(b[:hl]) != 0xffff
	return true
}

func (p *Packet) readIPv6(b []byte, room int) bool {
	if len(b) < 40 || room < 40 {
		p.Cut = true
		return false
	}
	if b[0]>>4 != 6 {
		return false
	}
	i := &p.IP
	i.Version = 6
	i.Src, i.Dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	i.Proto, i.Header = b[6], 40
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length == 0 && i.Proto != protoNoNext {
		length = room - 40
	}
	for i.Proto == protoHopByHop || i.Proto == protoRouting || i.Proto == protoDestOpts || i.Proto == protoFragment {
		at := i.Header
		if len(b) < at+8 {
			p.Cut = true
			break
		}
		n := int(b[at+1])*8 + 8
		if i.Proto == protoFragment {
			n = 8
			frag := binary.BigEndian.Uint16(b[at+2:])
			i.More, i.Offset, i.ID = frag&1 != 0, int(frag&^7), binary.BigEndian.Uint32(b[at+4:])
			i.Fragment = true
		}
		i.Proto, i.Header = b[at], at+n
		if i.Offset != 0 || i.Header > len(b) { // what follows is in another fragment, or was not captured
			p.Cut = p.Cut || i.Header > len(b)
			break
		}
	}
	i.Payload = max(0, length+40-i.Header)
	return true
}

const protoNoNext = 59
