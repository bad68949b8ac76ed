package flows

import (
	"net/netip"

	"xrx/internal/headers"
)

// key names a flow.
type key struct {
	src, dst     [16]byte
	sport, dport uint16
	vlan         uint16
	proto        uint8
	v6           bool
}

func keyOf(p *headers.Packet) key {
	return key{p.Src, p.Dst, p.SrcPort, p.DstPort, p.VLAN & 0xfff, p.Proto, p.V6}
}

func (k *key) from() netip.AddrPort { return netip.AddrPortFrom(headers.Addr(k.src, k.v6), k.sport) }
func (k *key) to() netip.AddrPort   { return netip.AddrPortFrom(headers.Addr(k.dst, k.v6), k.dport) }
