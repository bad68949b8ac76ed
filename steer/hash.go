package steer

import (
	"encoding/binary"

	"xrx/internal/headers"
)

// Hash is the flow hash of a packet, from its Ethernet header on: the symmetric one of the XDP program with this seed
// (bpf/xrx_parse.h), for packets that came without the program's metadata. So a flow of which some packets have it and
// some have not is still one flow. Addresses, protocol and ports of TCP, UDP and SCTP; of a fragment the addresses; of
// anything else both MACs and the EtherType. It is never 0, and a test holds it to the program.
func Hash(packet []byte, seed uint64) uint32 {
	if len(packet) < 14 {
		return 1
	}
	o := headers.Find(packet)
	if o.L3 == 0 {
		return mix(word48(packet[6:12]), word48(packet[:6]), uint64(o.EtherType>>8|o.EtherType<<8), seed)
	}
	proto, src, dst := uint64(o.Proto), uint64(0), uint64(0)
	if o.Fragment {
		proto = 0
	} else if p := o.Ports(packet); p != nil { // as they lie in memory
		src, dst = uint64(binary.LittleEndian.Uint16(p)), uint64(binary.LittleEndian.Uint16(p[2:]))
	}
	ip := packet[o.L3:]
	if o.EtherType == 0x0800 {
		return mix(uint64(binary.LittleEndian.Uint32(ip[12:]))|src<<32, uint64(binary.LittleEndian.Uint32(ip[16:]))|dst<<32, proto, seed)
	}
	return mix(endpoint6(ip[8:], src, seed), endpoint6(ip[24:], dst, seed), proto, seed)
}

// mix is flow_hash of bpf/xrx_parse.h, symmetric.
func mix(src, dst, proto, seed uint64) uint32 {
	src, dst = min(src, dst), max(src, dst)
	h := (src ^ seed ^ proto<<48) * 0x9e3779b97f4a7c15
	h = (h ^ h>>32 ^ dst) * 0x6a09e667f3bcc909
	h = (h ^ h>>32) * 0xbb67ae8584caa73b
	return max(uint32(h>>32), 1)
}

// endpoint6 is endpoint6 of bpf/xrx_parse.h: an address and a port in 64 bits.
func endpoint6(addr []byte, port, seed uint64) uint64 {
	h := (binary.LittleEndian.Uint64(addr) ^ seed) * 0x3c6ef372fe94f82b
	h = (h ^ h>>32 ^ binary.LittleEndian.Uint64(addr[8:])) * 0x9e3779b97f4a7c15
	return h ^ h>>32 ^ port<<32
}

func word48(b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint16(b[4:]))<<32
}
