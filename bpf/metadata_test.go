package bpf_test

import (
	"bytes"
	"errors"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"

	"xrx/bpf"
	"xrx/internal/testnet"
	"xrx/umem"
)

// TestMetadataOfEachKindOfPacket says every field in numbers; the hash's value is the oracle's to check.
func TestMetadataOfEachKindOfPacket(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	p := registered(t, bpf.Options{})
	const (
		short    = 1
		unparsed = 2
	)
	udp, far := ipv4(), extHeader(17, 26) // 8+8*26 = 216: L4 at 14+40+216 = 270
	nine := []byte{}
	for range 8 {
		nine = append(nine, extHeader(60, 0)...)
	}
	nine = append(nine, extHeader(17, 0)...)
	tests := []struct {
		name   string
		packet []byte
		want   umem.Meta // Hash and Kind apart
		counts int
	}{
		{"UDP over IPv4", udp, umem.Meta{Flags: umem.HashL4, L3: 4, L3Off: 14, L4Off: 34, L4Proto: 17}, 0},
		{"TCP over IPv4", ipv4(proto(6)), umem.Meta{Flags: umem.HashL4, L3: 4, L3Off: 14, L4Off: 34, L4Proto: 6}, 0},
		{"SCTP over IPv4", ipv4(proto(132)), umem.Meta{Flags: umem.HashL4, L3: 4, L3Off: 14, L4Off: 34, L4Proto: 132}, 0},
		{"ICMP has no ports", ipv4(proto(1)), umem.Meta{L3: 4, L3Off: 14, L4Off: 34, L4Proto: 1}, 0},
		{"GRE has no ports", ipv4(proto(47)), umem.Meta{L3: 4, L3Off: 14, L4Off: 34, L4Proto: 47}, 0},
		{"IPv4 with 4 bytes of options", ipv4(options(4)), umem.Meta{Flags: umem.HashL4, L3: 4, L3Off: 14, L4Off: 38, L4Proto: 17}, 0},
		{"IPv4 with all 40 bytes of options", ipv4(options(40)), umem.Meta{Flags: umem.HashL4, L3: 4, L3Off: 14, L4Off: 74, L4Proto: 17}, 0},
		{"IPv4 that mustn't be fragmented is whole", ipv4(fragment(0x4000)), umem.Meta{Flags: umem.HashL4, L3: 4, L3Off: 14, L4Off: 34, L4Proto: 17}, 0},
		{"first IPv4 fragment", ipv4(fragment(0x2000)), umem.Meta{Flags: umem.Frag, L3: 4, L3Off: 14, L4Off: 34, L4Proto: 17}, 0},
		{"middle IPv4 fragment", ipv4(fragment(0x2064)), umem.Meta{Flags: umem.Frag, L3: 4, L3Off: 14, L4Proto: 17}, 0},
		{"last IPv4 fragment", ipv4(fragment(0x0064)), umem.Meta{Flags: umem.Frag, L3: 4, L3Off: 14, L4Proto: 17}, 0},
		{"802.1Q", vlan(0x8100, 0xa123, udp), umem.Meta{VLANTCI: 0xa123, Flags: umem.HashL4 | umem.VLANInBand, L3: 4, L3Off: 18, L4Off: 38, L4Proto: 17}, 0},
		{"802.1Q with tag 0", vlan(0x8100, 0, udp), umem.Meta{Flags: umem.HashL4 | umem.VLANInBand, L3: 4, L3Off: 18, L4Off: 38, L4Proto: 17}, 0},
		{"802.1ad", vlan(0x88a8, 7, udp), umem.Meta{VLANTCI: 7, Flags: umem.HashL4 | umem.VLANInBand | umem.VLANAD, L3: 4, L3Off: 18, L4Off: 38, L4Proto: 17}, 0},
		{"QinQ gives the outer tag", vlan(0x88a8, 7, vlan(0x8100, 9, udp)), umem.Meta{VLANTCI: 7, Flags: umem.HashL4 | umem.VLANInBand | umem.VLANAD, L3: 4, L3Off: 22, L4Off: 42, L4Proto: 17}, 0},
		{"two 802.1Q tags", vlan(0x8100, 7, vlan(0x8100, 9, udp)), umem.Meta{VLANTCI: 7, Flags: umem.HashL4 | umem.VLANInBand, L3: 4, L3Off: 22, L4Off: 42, L4Proto: 17}, 0},
		{"three tags are one too many", vlan(0x8100, 7, vlan(0x8100, 8, vlan(0x8100, 9, udp))), umem.Meta{VLANTCI: 7, Flags: umem.VLANInBand}, unparsed},
		{"QinQ over IPv6", vlan(0x88a8, 7, vlan(0x8100, 9, ipv6(6))), umem.Meta{VLANTCI: 7, Flags: umem.HashL4 | umem.VLANInBand | umem.VLANAD, L3: 6, L3Off: 22, L4Off: 62, L4Proto: 6}, 0},
		{"UDP over IPv6", ipv6(17), umem.Meta{Flags: umem.HashL4, L3: 6, L3Off: 14, L4Off: 54, L4Proto: 17}, 0},
		{"ICMPv6 has no ports", ipv6(58), umem.Meta{L3: 6, L3Off: 14, L4Off: 54, L4Proto: 58}, 0},
		{"IPv6 with a hop-by-hop header", ipv6ext(0, extHeader(17, 0)), umem.Meta{Flags: umem.HashL4, L3: 6, L3Off: 14, L4Off: 62, L4Proto: 17}, 0},
		{"IPv6 with a routing header of 24 bytes", ipv6ext(43, extHeader(6, 2)), umem.Meta{Flags: umem.HashL4, L3: 6, L3Off: 14, L4Off: 78, L4Proto: 6}, 0},
		{"IPv6 with hop-by-hop, destination and routing headers", ipv6ext(0, join(extHeader(60, 0), extHeader(43, 1), extHeader(6, 0))), umem.Meta{Flags: umem.HashL4, L3: 6, L3Off: 14, L4Off: 86, L4Proto: 6}, 0},
		{"first IPv6 fragment", ipv6ext(44, fragHeader(17, 0, true)), umem.Meta{Flags: umem.Frag, L3: 6, L3Off: 14, L4Off: 62, L4Proto: 17}, 0},
		{"last IPv6 fragment", ipv6ext(44, fragHeader(17, 185, false)), umem.Meta{Flags: umem.Frag, L3: 6, L3Off: 14, L4Proto: 17}, 0},
		{"IPv6 fragment of all there is is whole", ipv6ext(44, fragHeader(17, 0, false)), umem.Meta{Flags: umem.HashL4, L3: 6, L3Off: 14, L4Off: 62, L4Proto: 17}, 0},
		{"first IPv6 fragment with a destination header after", ipv6ext(44, join(fragHeader(60, 0, true), extHeader(6, 0))), umem.Meta{Flags: umem.Frag, L3: 6, L3Off: 14, L4Off: 70, L4Proto: 6}, 0},
		{"later IPv6 fragment: what follows is no header", ipv6ext(44, join(fragHeader(60, 9, true), extHeader(6, 0))), umem.Meta{Flags: umem.Frag, L3: 6, L3Off: 14, L4Proto: 60}, 0},
		{"IPv6 with no next header", ipv6(59), umem.Meta{L3: 6, L3Off: 14, L4Proto: 59}, 0},
		{"IPv6 with L4 farther than a byte can say", ipv6ext(0, far), umem.Meta{L3: 6, L3Off: 14, L4Proto: 17}, 0},
		{"IPv6 with L4 at 254", ipv6ext(0, extHeader(17, 24)), umem.Meta{Flags: umem.HashL4, L3: 6, L3Off: 14, L4Off: 254, L4Proto: 17}, 0},
		{"IPv6 with L4 at 258", vlan(0x8100, 1, ipv6ext(0, extHeader(17, 24))), umem.Meta{VLANTCI: 1, Flags: umem.VLANInBand, L3: 6, L3Off: 18, L4Proto: 17}, 0},
		{"IPv6 with nine extension headers", ipv6ext(60, nine), umem.Meta{L3: 6, L3Off: 14, L4Proto: 60}, 0},
		{"IPv6 with authentication header", ipv6ext(51, extHeader(6, 2)), umem.Meta{L3: 6, L3Off: 14, L4Off: 54, L4Proto: 51}, 0},
		{"ARP", ether(0x0806, make([]byte, 46)), umem.Meta{}, unparsed},
		{"LLDP in a VLAN", vlan(0x8100, 3, ether(0x88cc, make([]byte, 46))), umem.Meta{VLANTCI: 3, Flags: umem.VLANInBand}, unparsed},
		{"Ethernet header alone", ether(0x0806, nil), umem.Meta{}, unparsed},
		{"IPv4 of version 5", ether(0x0800, append([]byte{0x55}, make([]byte, 30)...)), umem.Meta{}, unparsed},
		{"IPv4 with header length 4", ether(0x0800, append([]byte{0x44}, make([]byte, 30)...)), umem.Meta{}, unparsed},
		{"IPv6 of version 4", ether(0x86dd, append([]byte{0x45}, make([]byte, 60)...)), umem.Meta{}, unparsed},
		{"cut before IPv4", udp[:14], umem.Meta{}, short},
		{"cut in the VLAN tag", vlan(0x8100, 7, udp)[:17], umem.Meta{}, short},
		{"cut in the inner VLAN tag", vlan(0x88a8, 7, vlan(0x8100, 9, udp))[:20], umem.Meta{VLANTCI: 7, Flags: umem.VLANInBand | umem.VLANAD}, short},
		{"cut in the IPv4 header", udp[:33], umem.Meta{}, short},
		{"cut after the IPv4 header", udp[:34], umem.Meta{L3: 4, L3Off: 14, L4Proto: 17}, short},
		{"cut in the ports", udp[:37], umem.Meta{L3: 4, L3Off: 14, L4Proto: 17}, short},
		{"cut after the ports", udp[:38], umem.Meta{Flags: umem.HashL4, L3: 4, L3Off: 14, L4Off: 34, L4Proto: 17}, 0},
		{"cut in the IPv4 options", ipv4(options(8))[:38], umem.Meta{L3: 4, L3Off: 14, L4Proto: 17}, short},
		{"ICMP cut after the IPv4 header", ipv4(proto(1))[:36], umem.Meta{L3: 4, L3Off: 14, L4Proto: 1}, 0},
		{"cut in the IPv6 header", ipv6(17)[:53], umem.Meta{}, short},
		{"cut in the IPv6 extension header", ipv6ext(0, extHeader(17, 0))[:61], umem.Meta{L3: 6, L3Off: 14}, short},
		{"cut in the ports after an extension header", ipv6ext(0, extHeader(17, 0))[:65], umem.Meta{L3: 6, L3Off: 14, L4Proto: 17}, short},
		{"9000 bytes in several buffers", ipv4(proto(6), pad(9014)), umem.Meta{Flags: umem.HashL4, L3: 4, L3Off: 14, L4Off: 34, L4Proto: 6}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got umem.Meta
			want := bpf.Counts{bpf.Redirected: 1, bpf.TooShort: uint64(test.counts & short), bpf.Unparsed: uint64(test.counts / unparsed)}
			if c := counted(t, p, func() {
				verdict, meta := run(t, p.Prog(), test.packet)
				if verdict != xdpRedirect {
					t.Errorf("verdict %d, want redirect", verdict)
				}
				got = decode(t, meta)
			}); c != want {
				t.Errorf("counted %v, want %v", c, want)
			}
			if got.Hash == 0 {
				t.Error("no hash")
			}
			if o := expect(test.packet, false, 0); got != o.meta {
				t.Errorf("metadata\n%+v, the oracle has\n%+v", got, o.meta)
			}
			got.Hash, got.Kind = 0, 0
			if got != test.want {
				t.Errorf("metadata\n%+v, want\n%+v", got, test.want)
			}
		})
	}
}

func TestEveryPacketGoesWhereItShould(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	const packets = 5
	tests := []struct {
		name    string
		opts    bpf.Options
		prepare func(t *testing.T, p *bpf.Program)
		verdict uint32
		meta    bool
		counts  bpf.Counts
	}{
		{"a queue with a socket: redirected with metadata", bpf.Options{}, register, xdpRedirect, true,
			bpf.Counts{bpf.Redirected: packets}},
		{"no socket: passed without metadata", bpf.Options{}, nothing, xdpPass, false,
			bpf.Counts{bpf.NoSocket: packets}},
		{"a socket that was unregistered: passed", bpf.Options{}, func(t *testing.T, p *bpf.Program) {
			register(t, p)
			must(t, p.Unregister(0))
			must(t, p.Unregister(0)) // again is no error
		}, xdpPass, false, bpf.Counts{bpf.NoSocket: packets}},
		{"a socket on another queue: passed", bpf.Options{}, func(t *testing.T, p *bpf.Program) {
			must(t, p.Register(1, openSocket(t, "lo").FD()))
		}, xdpPass, false, bpf.Counts{bpf.NoSocket: packets}},
		{"a socket that was closed: passed", bpf.Options{}, func(t *testing.T, p *bpf.Program) {
			s := openSocket(t, "lo")
			must(t, p.Register(0, s.FD()))
			must(t, s.Close())
		}, xdpPass, false, bpf.Counts{bpf.NoSocket: packets}},
		{"disabled: passed without metadata", bpf.Options{}, func(t *testing.T, p *bpf.Program) {
			register(t, p)
			must(t, p.SetEnabled(false))
		}, xdpPass, false, bpf.Counts{bpf.Disabled: packets}},
		{"enabled again: redirected", bpf.Options{}, func(t *testing.T, p *bpf.Program) {
			register(t, p)
			must(t, p.SetEnabled(false))
			must(t, p.SetEnabled(true))
		}, xdpRedirect, true, bpf.Counts{bpf.Redirected: packets}},
		{"no room for metadata: redirected without", bpf.Options{RefuseMeta: true}, register, xdpRedirect, false,
			bpf.Counts{bpf.Redirected: packets, bpf.MetaRefused: packets}},
		{"no metadata wanted: redirected without", bpf.Options{NoMeta: true}, register, xdpRedirect, false,
			bpf.Counts{bpf.Redirected: packets}},
		{"no metadata wanted, and it matches: redirected without", bpf.Options{NoMeta: true, Match: parsed(t, "udp")}, register, xdpRedirect, false,
			bpf.Counts{bpf.Redirected: packets}},
		{"no metadata wanted, and it does not match: passed", bpf.Options{NoMeta: true, Match: parsed(t, "tcp")}, register, xdpPass, false,
			bpf.Counts{bpf.NotMatched: packets}},
		{"no metadata wanted, no socket: passed", bpf.Options{NoMeta: true}, nothing, xdpPass, false,
			bpf.Counts{bpf.NoSocket: packets}},
		{"without multi-buffer support: redirected", bpf.Options{NoFrags: true}, register, xdpRedirect, true,
			bpf.Counts{bpf.Redirected: packets}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := load(t, test.opts)
			test.prepare(t, p)
			if c := counted(t, p, func() {
				for range packets {
					verdict, meta := run(t, p.Prog(), ipv4())
					if verdict != test.verdict || (len(meta) != 0) != test.meta {
						t.Errorf("verdict %d with %d bytes of metadata, want %d", verdict, len(meta), test.verdict)
					}
				}
			}); c != test.counts {
				t.Errorf("counted %v, want %v", c, test.counts)
			}
			c, err := p.Counters()
			must(t, err)
			if c.Total.Packets() != packets {
				t.Errorf("%d packets seen, %d sent", c.Total.Packets(), packets)
			}
			var sum bpf.Counts
			for _, cpu := range c.PerCPU {
				for i := range cpu {
					sum[i] += cpu[i]
				}
			}
			if sum != c.Total {
				t.Errorf("CPUs sum up to %v, the total is %v", sum, c.Total)
			}
		})
	}
}

func nothing(*testing.T, *bpf.Program) {}

func register(t *testing.T, p *bpf.Program) {
	t.Helper()
	must(t, p.Register(0, openSocket(t, "lo").FD()))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSymmetricHashIsTheSameBothWaysAndOtherwiseNot(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	pairs := []struct {
		name   string
		ab, ba []byte
	}{
		{"IPv4", ipv4(), ipv4(reversed)},
		{"IPv4, one port for both", ipv4(ports(53, 53)), ipv4(ports(53, 53), reversed)},
		{"IPv4, one address for both", ipv4(from(addrA4), to(addrA4)), ipv4(from(addrA4), to(addrA4), reversed)},
		{"IPv4 fragments", ipv4(fragment(0x2000)), ipv4(fragment(0x2000), reversed)},
		{"ICMP", ipv4(proto(1)), ipv4(proto(1), reversed)},
		{"IPv6", ipv6(6), ipv6(6, reversed)},
		{"IPv6, one address for both", ipv6(6, to(addrA6)), ipv6(6, to(addrA6), reversed)},
		{"not IP", ether(0x0806, nil), join(macA, macB, []byte{8, 6})},
	}
	for _, symmetric := range []bool{false, true} {
		p := registered(t, bpf.Options{Symmetric: symmetric, Seed: 0x1234567890abcdef})
		for _, pair := range pairs {
			_, ab := run(t, p.Prog(), pair.ab)
			_, ba := run(t, p.Prog(), pair.ba)
			x, y := decode(t, ab), decode(t, ba)
			if (x.Hash == y.Hash) != symmetric {
				t.Errorf("%s, symmetric=%t: %08x one way, %08x the other", pair.name, symmetric, x.Hash, y.Hash)
			}
			if (x.Flags&umem.HashSym != 0) != symmetric {
				t.Errorf("%s, symmetric=%t: flags %08b", pair.name, symmetric, x.Flags)
			}
		}
	}
}

func TestAllFragmentsOfADatagramHashTheSame(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	p := registered(t, bpf.Options{})
	for name, parts := range map[string][][]byte{
		"IPv4": {ipv4(fragment(0x2000)), ipv4(fragment(0x2064), ports(1, 2)), ipv4(fragment(0x00c8), ports(3, 4))},
		"IPv6": {ipv6ext(44, join(fragHeader(60, 0, true), extHeader(17, 0))), ipv6ext(44, fragHeader(60, 100, true), ports(1, 2)), ipv6ext(44, fragHeader(60, 200, false), ports(3, 4))},
	} {
		_, first := run(t, p.Prog(), parts[0])
		for i, part := range parts[1:] {
			if _, meta := run(t, p.Prog(), part); !bytes.Equal(meta[:4], first[:4]) {
				t.Errorf("%s: fragment %d hashes to % x, the first to % x", name, i+1, meta[:4], first[:4])
			}
		}
	}
}

func TestSeedChangesTheHash(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	one, two := registered(t, bpf.Options{Seed: 1}), registered(t, bpf.Options{Seed: 2})
	for name, packet := range map[string][]byte{"IPv4": ipv4(), "IPv6": ipv6(17), "ARP": ether(0x0806, nil)} {
		_, a := run(t, one.Prog(), packet)
		_, b := run(t, two.Prog(), packet)
		if bytes.Equal(a[:4], b[:4]) {
			t.Errorf("%s hashes to % x with both seeds", name, a[:4])
		}
	}
}

// TestOnlyTheFirstBufferIsRead gives the program a packet whose first buffer ends anywhere in the headers.
func TestOnlyTheFirstBufferIsRead(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	p := registered(t, bpf.Options{})
	packet := vlan(0x8100, 9, ipv6ext(0, extHeader(6, 1), pad(400)))
	for linear := 14; linear < 120; linear++ {
		var after xdpMD
		opts := ebpf.RunOptions{Data: packet, Context: xdpMD{DataEnd: uint32(linear)}, DataOut: make([]byte, len(packet)+64), ContextOut: &after}
		verdict, err := p.Prog().Run(&opts)
		if errors.Is(err, syscall.EINVAL) && linear == 14 {
			t.Skip("this kernel's test run doesn't split packets where it is told to (6.18 does)")
		}
		must(t, err)
		got, want := decode(t, opts.DataOut[:after.Data-after.DataMeta]), expect(packet[:linear], false, 0).meta
		if verdict != xdpRedirect || got != want {
			t.Errorf("first buffer of %d bytes: verdict %d, metadata\n%+v, want\n%+v", linear, verdict, got, want)
		}
	}
}
