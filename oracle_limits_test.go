package xrx_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"xrx/internal/frames"
	"xrx/internal/oracle"
	"xrx/internal/testnet"
)

// The limits are too far out for random bursts to meet them by the byte: the largest datagram (L1), the most datagrams
// in one (U8), and the least there can be.
func TestKernelAndReceiverHaveTheSameLimits(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	k, o := newKernelSide(t), newOwnSide(t, oracleProfile, 1024)
	ip4 := [2]netip.Addr{netip.AddrFrom4([4]byte{10, 11, 0, 1}), netip.AddrFrom4([4]byte{10, 11, 0, 2})}
	ip6 := [2]netip.Addr{netip.MustParseAddr("fd00:11::1"), netip.MustParseAddr("fd00:11::2")}
	for _, c := range []struct {
		rule, name string
		proto      uint8
		ip         [2]netip.Addr
		tunnel     bool // in IPv4
		n, size    int  // packets and their payload
		last       int  // payload of one more; 0 = none
		segs       []int
	}{
		{"L1", "IPv4, 65535 bytes", frames.ProtoTCP, ip4, false, 45, 1448, 65535 - 40 - 45*1448, []int{46}},
		{"L1", "IPv4, 65536 bytes", frames.ProtoTCP, ip4, false, 45, 1448, 65536 - 40 - 45*1448, []int{45, 1}},
		{"L1", "IPv6, 65535 bytes with the header", frames.ProtoTCP, ip6, false, 45, 1428, 65535 - 60 - 45*1428, []int{46}},
		{"L1", "IPv6, 65536 bytes with the header", frames.ProtoTCP, ip6, false, 45, 1428, 65536 - 60 - 45*1428, []int{45, 1}},
		{"L1", "in a tunnel, 65535 bytes with it", frames.ProtoTCP, ip4, true, 45, 1440, 65535 - 60 - 45*1440, []int{46}},
		{"L1", "in a tunnel, 65536 bytes with it", frames.ProtoTCP, ip4, true, 45, 1440, 65536 - 60 - 45*1440, []int{45, 1}},
		{"U9", "UDP over IPv4, 65535 bytes", frames.ProtoUDP, ip4, false, 44, 1472, 65535 - 28 - 44*1472, []int{45}},
		{"U9", "UDP over IPv4, 65536 bytes", frames.ProtoUDP, ip4, false, 44, 1472, 65536 - 28 - 44*1472, []int{44, 1}},
		{"U9", "UDP over IPv6, 65535 bytes", frames.ProtoUDP, ip6, false, 45, 1452, 65535 - 48 - 45*1452, []int{46}},
		{"U9", "UDP over IPv6, 65536 bytes", frames.ProtoUDP, ip6, false, 45, 1452, 65536 - 48 - 45*1452, []int{45, 1}},
		{"U8", "64 datagrams, and one more", frames.ProtoUDP, ip4, false, 65, 10, 0, []int{64, 1}},
		{"U8", "the 64th is shorter", frames.ProtoUDP, ip6, false, 63, 10, 9, []int{64}},
		{"L5", "65 segments of TCP", frames.ProtoTCP, ip4, false, 65, 10, 0, []int{65}},
		{"T8", "segments of one byte", frames.ProtoTCP, ip4, false, 60, 1, 0, []int{60}},
		{"U3", "datagrams of one byte", frames.ProtoUDP, ip6, false, 60, 1, 0, []int{60}},
	} {
		t.Run(c.rule+" "+c.name, func(t *testing.T) {
			var b oracle.Burst
			sizes := slices.Repeat([]int{c.size}, c.n)
			if c.last > 0 {
				sizes = append(sizes, c.last)
			}
			seq := uint32(0)
			for i, size := range sizes {
				f := frames.Frame{SrcMAC: []byte{2, 0, 0, 0, 0, 0x0a}, DstMAC: []byte{2, 0, 0, 0, 0, 0x7f}, Src: c.ip[0], Dst: c.ip[1],
					Proto: c.proto, SrcPort: 1, DstPort: oracle.UDPPorts[0], Flags: frames.ACK, Seq: seq, ID: uint16(i), Payload: make([]byte, size)}
				for at := range f.Payload {
					f.Payload[at] = byte(i + at)
				}
				if c.tunnel {
					f = frames.Frame{SrcMAC: f.SrcMAC, DstMAC: f.DstMAC, Src: ip4[1], Dst: ip4[0], Proto: 4, ID: uint16(i), Payload: f.Append(nil)[14:]}
				}
				seq += uint32(size)
				b = append(b, oracle.Packet{Frame: f.Append(nil), Note: fmt.Sprintf("%d bytes", size)})
			}
			diff, kernel, own, _ := disagree(t, k, o, b, b.Frames(), oracle.Difference)
			if diff != "" {
				t.Fatalf("%s\nthe kernel delivered\n%sthe receiver delivered\n%s", diff, oracle.List(kernel), oracle.List(own))
			}
			var segs []int
			for _, r := range own {
				segs = append(segs, r.Segs)
			}
			if !slices.Equal(segs, c.segs) {
				t.Errorf("both make %v of it, the rule says %v", segs, c.segs)
			}
		})
	}
}
