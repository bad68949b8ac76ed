package bpf_test

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"

	"xrx/bpf"
	"xrx/internal/testnet"
)

// whole writes into a frame's IP header the length that the frame has behind it, and more bytes than are there.
func whole(frame []byte, more int) []byte {
	b, at := append([]byte{}, frame...), 14
	for binary.BigEndian.Uint16(b[at-2:]) == 0x8100 || binary.BigEndian.Uint16(b[at-2:]) == 0x88a8 {
		at += 4
	}
	if length := len(b) - at + more; b[at-1] == 0 { // 0x0800, else 0x86dd
		binary.BigEndian.PutUint16(b[at+2:], uint16(length))
	} else {
		binary.BigEndian.PutUint16(b[at+4:], uint16(length-40))
	}
	return b
}

// padded makes a frame longer than its IP packet, as Ethernet does with short ones.
func padded(frame []byte, bytes int) []byte { return append(frame, make([]byte, bytes)...) }

// TestPacketsShorterThanTheirIPLengthAreCountedAndRedirected: whoever cuts them, they are delivered as they are.
func TestPacketsShorterThanTheirIPLengthAreCountedAndRedirected(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	tcp := proto(6)
	jumbo := ipv6ext(0, append([]byte{6, 0, 0xc2, 4, 0, 1, 0x11, 0x70}, make([]byte, 60)...)) // RFC 2675: 70000 bytes
	tests := []struct {
		name   string
		packet []byte
		linear int // bytes in the first buffer; 0: as the kernel does it
		cut    bool
	}{
		{"IPv4, whole", whole(ipv4(pad(1514)), 0), 0, false},
		{"IPv4, padded to 60 bytes", padded(whole(ipv4(pad(42)), 0), 18), 0, false},
		{"IPv4, a length of 0 (the kernel's own larger than 64 KiB)", ipv4(pad(1514)), 0, false},
		{"IPv4, cut by one byte", whole(ipv4(pad(1514)), 1), 0, true},
		{"IPv4, cut at 1024 of 1514", whole(ipv4(tcp, pad(1514)), 0)[:1024], 0, true},
		{"IPv4, cut in its TCP header", whole(ipv4(tcp, pad(1514)), 0)[:40], 0, true},
		{"IPv4, all of 65535 said", whole(ipv4(pad(1514)), 65535-1500), 0, true},
		{"IPv4 with options, whole", whole(ipv4(options(40), pad(300)), 0), 0, false},
		{"IPv4 with options, cut by one byte", whole(ipv4(options(40), pad(300)), 1), 0, true},
		{"IPv4, a whole fragment", whole(ipv4(fragment(0x2000), pad(1514)), 0), 0, false},
		{"IPv4, a later fragment, whole", whole(ipv4(fragment(0x0064), pad(500)), 0), 0, false},
		{"IPv4, a fragment cut by one byte", whole(ipv4(fragment(0x2064), pad(500)), 1), 0, true},
		{"VLAN, whole", whole(vlan(0x8100, 5, ipv4(pad(1514))), 0), 0, false},
		{"VLAN, cut by one byte", whole(vlan(0x8100, 5, ipv4(pad(1514))), 1), 0, true},
		{"QinQ, whole", whole(vlan(0x88a8, 7, vlan(0x8100, 5, ipv4())), 0), 0, false},
		{"QinQ, cut by one byte", whole(vlan(0x88a8, 7, vlan(0x8100, 5, ipv4())), 1), 0, true},
		{"IPv6, whole", whole(ipv6(6, pad(1514)), 0), 0, false},
		{"IPv6, padded", padded(whole(ipv6(59, pad(54)), 0), 6), 0, false},
		{"IPv6, cut by one byte", whole(ipv6(6, pad(1514)), 1), 0, true},
		{"IPv6 in a VLAN, cut by one byte", whole(vlan(0x8100, 5, ipv6(6, pad(1514))), 1), 0, true},
		{"IPv6 with extension headers, whole", whole(ipv6ext(0, extHeader(17, 4)), 0), 0, false},
		{"IPv6 with extension headers, cut by one byte", whole(ipv6ext(0, extHeader(17, 4)), 1), 0, true},
		{"IPv6 fragment, whole", whole(ipv6ext(44, fragHeader(17, 185, false)), 0), 0, false},
		{"IPv6 fragment, cut by one byte", whole(ipv6ext(44, fragHeader(17, 185, true)), 1), 0, true},
		{"IPv6 jumbogram says 0", jumbo, 0, false},
		{"several buffers, whole", whole(ipv4(tcp, pad(9014)), 0), 0, false},
		{"several buffers, cut by one byte", whole(ipv4(tcp, pad(9014)), 1), 0, true},
		{"several buffers, IPv6, whole", whole(ipv6(6, pad(9014)), 0), 0, false},
		{"several buffers, IPv6, cut by one byte", whole(ipv6(6, pad(9014)), 1), 0, true},
		{"two buffers, the first of 200, whole", whole(ipv4(tcp, pad(1514)), 0), 200, false},
		{"two buffers, the first of 200, cut by one byte", whole(ipv4(tcp, pad(1514)), 1), 200, true},
		{"two buffers, IPv6, the first of 80, whole", whole(ipv6(6, pad(400)), 0), 80, false},
		{"ARP says nothing", ether(0x0806, make([]byte, 46)), 0, false},
	}
	p := registered(t, bpf.Options{})
	old := registered(t, bpf.Options{NoFrags: true})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			check := func(p *bpf.Program) {
				t.Helper()
				c := counted(t, p, func() {
					before := xdpMD{DataEnd: uint32(len(test.packet))}
					if test.linear > 0 {
						before.DataEnd = uint32(test.linear)
					}
					verdict, err := p.Prog().Run(&ebpf.RunOptions{Data: test.packet, Context: before, DataOut: make([]byte, len(test.packet)+64), ContextOut: &xdpMD{}})
					if err != nil || verdict != xdpRedirect {
						t.Errorf("verdict %d (%v), want redirect", verdict, err)
					}
				})
				want := uint64(0)
				if test.cut {
					want = 1
				}
				if c[bpf.Truncated] != want || c[bpf.Redirected] != 1 {
					t.Errorf("counted %v, want truncated %d of 1 redirected", c, want)
				}
				if test.cut && p.Truncated() != len(test.packet) {
					t.Errorf("told of a packet of %d bytes, want %d", p.Truncated(), len(test.packet))
				}
			}
			check(p)
			if test.linear == 0 && len(test.packet) < 2000 { // a program without multi-buffer support is given no others
				check(old)
			}
		})
	}
}

// Kernels before 5.18 have no bpf_xdp_get_buff_len and refuse a program that calls it. There the program gets no packets
// of several buffers and never calls it; the verifier doesn't look at what is never reached.
func TestTheProgramLoadsWhereTheKernelCanNotSayHowLongAPacketOfSeveralBuffersIs(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	p, err := bpf.LoadWithoutBuffLen(bpf.Options{NoFrags: true})
	must(t, err)
	must(t, p.Close())
	if p, err := bpf.LoadWithoutBuffLen(bpf.Options{}); err == nil {
		must(t, p.Close())
		t.Error("with multi-buffer support the program loads too, where it would call what isn't there")
	}
}
