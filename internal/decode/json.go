package decode

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// AppendJSON appends the packet as one line of JSON with the keys ts, queue, hash, vlan, proto, src, sport, dst, dport,
// seq, ack, flags, len, payload, segs, gso_size, csum. Every key is always there; what a packet does not have is null.
//
//	ts       seconds since 1970 with nine decimals, a number
//	hash     flow hash, null when there is none
//	vlan     id of the outermost tag
//	flags    as tcpdump prints them: "S.", "P.", "none"
//	len      bytes from the Ethernet header on, of the whole packet
//	payload  bytes behind the layer 4 header (IP header, Ethernet header where there is none), of the whole packet
//
// Three more are there only where they say something: vlan_inner, the id of the second tag; tunnel, the source and
// destination of the outer IP header; captured, how many of len bytes there were when the packet was cut off.
func (p *Packet) AppendJSON(b []byte, info *Info) []byte {
	b = append(b, `{"ts":`...)
	b = appendTime(b, info)
	b = appendInt(append(b, `,"queue":`...), info.Queue)
	b = appendOptional(append(b, `,"hash":`...), uint64(info.Hash), info.Hash != 0)
	b = appendOptional(append(b, `,"vlan":`...), uint64(p.Tags[0].ID()), p.NumTags > 0)
	if p.NumTags > 1 {
		b = appendInt(append(b, `,"vlan_inner":`...), p.Tags[1].ID())
	}
	b = append(p.AppendProto(append(b, `,"proto":"`...)), '"')
	src, dst := p.addresses()
	ports, tcp := p.HasPorts(), p.Layer == LayerTCP && p.IP.Payload >= 20 && len(p.Data) >= p.L4+20
	b = appendJSONAddr(append(b, `,"src":`...), src)
	b = appendOptional(append(b, `,"sport":`...), uint64(p.SrcPort), ports)
	b = appendJSONAddr(append(b, `,"dst":`...), dst)
	b = appendOptional(append(b, `,"dport":`...), uint64(p.DstPort), ports)
	b = appendOptional(append(b, `,"seq":`...), uint64(p.Seq), tcp)
	b = appendOptional(append(b, `,"ack":`...), uint64(p.Ack), tcp && p.Flags&0x10 != 0)
	b = append(b, `,"flags":`...)
	if tcp {
		b = append(p.AppendFlags(append(b, '"')), '"')
	} else {
		b = append(b, "null"...)
	}
	b = appendInt(append(b, `,"len":`...), p.Length)
	b = appendInt(append(b, `,"payload":`...), p.Payload)
	b = appendInt(append(b, `,"segs":`...), info.Segs)
	b = appendInt(append(b, `,"gso_size":`...), info.GSOSize)
	b = append(append(append(b, `,"csum":"`...), info.Checksum...), '"')
	if p.Outer.Version != 0 {
		b = append(p.Outer.Src.AppendTo(append(b, `,"tunnel":{"src":"`...)), `","dst":"`...)
		b = append(p.Outer.Dst.AppendTo(b), `"}`...)
	}
	if info.Captured != 0 {
		b = appendInt(append(b, `,"captured":`...), info.Captured)
	}
	return append(b, '}', '\n')
}

// addresses returns the innermost IP addresses, or ARP's.
func (p *Packet) addresses() (src, dst netip.Addr) {
	if p.Layer == LayerARP && !p.Cut {
		if a := p.Data[p.L4:]; binary.BigEndian.Uint16(a[2:]) == typeIPv4 && a[4] == 6 && a[5] == 4 {
			return netip.AddrFrom4([4]byte(a[14:18])), netip.AddrFrom4([4]byte(a[24:28]))
		}
	}
	return p.IP.Src, p.IP.Dst
}

func appendTime(b []byte, info *Info) []byte {
	b = strconv.AppendInt(b, info.Time.Unix(), 10)
	b = append(b, '.')
	ns := info.Time.Nanosecond()
	for unit := 100_000_000; unit > 0; unit /= 10 {
		b = append(b, byte('0'+ns/unit%10))
	}
	return b
}

func appendOptional(b []byte, v uint64, there bool) []byte {
	if !there {
		return append(b, "null"...)
	}
	return strconv.AppendUint(b, v, 10)
}

func appendJSONAddr(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return append(b, "null"...)
	}
	return append(a.AppendTo(append(b, '"')), '"')
}
