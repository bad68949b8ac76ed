package bpf_test

import (
	"math/rand/v2"
	"testing"

	"xrx/bpf"
	"xrx/internal/testnet"
	"xrx/steer"
)

// TestProgramAgreesWithTheOracleOnRandomPackets makes packets that are mostly well-formed, then bends them: any of its
// bytes changed, cut anywhere.
func TestProgramAgreesWithTheOracleOnRandomPackets(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	rounds := 20000
	if testing.Short() {
		rounds = 3000
	}
	for _, symmetric := range []bool{false, true} {
		seed := testnet.Seed(t)
		r := rand.New(rand.NewPCG(seed, 1))
		p := registered(t, bpf.Options{Symmetric: symmetric, Seed: seed})
		var want bpf.Counts
		var parsed, l4 int
		got := counted(t, p, func() {
			for range rounds {
				packet := randomPacket(r)
				verdict, meta := run(t, p.Prog(), packet)
				o := expect(packet, symmetric, seed)
				if m := decode(t, meta); verdict != xdpRedirect || m != o.meta {
					t.Fatalf("seed %d: verdict %d, metadata\n%+v, the oracle has\n%+v for\n% x", seed, verdict, m, o.meta, packet)
				}
				if h := steer.Hash(packet, seed); symmetric && o.meta.Hash != 0 && h != o.meta.Hash {
					t.Fatalf("seed %d: hash %08x, without metadata it is %08x for\n% x", seed, o.meta.Hash, h, packet)
				}
				want[bpf.Redirected]++
				if o.cut {
					want[bpf.TooShort]++
				}
				if o.unparsed {
					want[bpf.Unparsed]++
				}
				if o.partial {
					want[bpf.Truncated]++
				}
				if o.meta.L3 != 0 {
					parsed++
				}
				if o.meta.L4Off != 0 {
					l4++
				}
			}
		})
		if got != want {
			t.Errorf("seed %d: counted %v, want %v", seed, got, want)
		}
		// The generator must not drift into garbage that says nothing.
		if parsed < rounds/2 || l4 < rounds/4 || want[bpf.TooShort] < uint64(rounds/50) || want[bpf.Unparsed] < uint64(rounds/50) || want[bpf.Truncated] < uint64(rounds/20) || want[bpf.Truncated] > uint64(rounds/2) {
			t.Errorf("seed %d: of %d packets %d had IP, %d a known L4, %v", seed, rounds, parsed, l4, want)
		}
	}
}

func randomPacket(r *rand.Rand) []byte {
	protocols := []byte{6, 17, 132, 1, 58, 0, 43, 44, 50, 51, 59, 60, byte(r.Uint32())}
	next := func() byte { return protocols[r.IntN(len(protocols))] }
	vary := func(h *v4) {
		h.src, h.dst = append([]byte{}, h.src...), append([]byte{}, h.dst...)
		for i := range h.src {
			h.src[i], h.dst[i] = byte(r.Uint32()), byte(r.Uint32())
		}
		if r.IntN(8) == 0 {
			h.dst = h.src
		}
		h.ports = [2]uint16{uint16(r.Uint32()), uint16(r.Uint32())}
	}
	var packet []byte
	switch r.IntN(10) {
	case 0, 1, 2, 3:
		packet = ipv4(vary, proto(next()), options(4*max(0, r.IntN(20)-9)), func(h *v4) {
			if r.IntN(4) == 0 {
				h.frag = uint16(r.Uint32())
			}
		})
	case 4, 5, 6, 7:
		// Types first, then the headers that are of them.
		chain := []byte{next()}
		var ext []byte
		for range 10 {
			last := chain[len(chain)-1]
			if last != 0 && last != 43 && last != 44 && last != 60 {
				break
			}
			following := next()
			chain = append(chain, following)
			if last == 44 {
				offset := uint16(0)
				if r.IntN(2) == 0 {
					offset = uint16(r.Uint32()) >> 3
				}
				ext = append(ext, fragHeader(following, offset, r.IntN(2) == 0)...)
			} else {
				ext = append(ext, extHeader(following, max(0, r.IntN(12)-8))...)
			}
		}
		packet = ipv6ext(chain[0], ext, vary)
	case 8:
		packet = ether(uint16(r.Uint32()), make([]byte, r.IntN(60)))
	case 9:
		packet = make([]byte, 14+r.IntN(100))
		for i := range packet {
			packet[i] = byte(r.Uint32())
		}
	}
	if typ := packet[12:14]; r.IntN(4) > 0 && (string(typ) == "\x08\x00" && len(packet) >= 34 || string(typ) == "\x86\xdd" && len(packet) >= 54) {
		packet = whole(packet, max(0, r.IntN(8)-5)-1) // one less (padding), as many, one more
	}
	for range max(0, r.IntN(6)-2) {
		packet = vlan([]uint16{0x8100, 0x88a8, 0x9100}[max(0, r.IntN(16)-13)], uint16(r.Uint32()), packet)
	}
	if r.IntN(4) == 0 {
		for range 1 + r.IntN(4) {
			packet[r.IntN(len(packet))] ^= byte(1 << r.IntN(8))
		}
	}
	if r.IntN(4) == 0 {
		packet = packet[:14+r.IntN(len(packet)-13)]
	}
	return packet
}
