package gro

import (
	"bytes"
	"fmt"
	"testing"

	"xrx/umem"
)

// mend makes the checksums of a frame without tags and extensions right again, as far as its lengths allow.
func mend(b []byte) {
	if b[12] == 0x86 {
		at := map[byte]int{6: 16, 17: 6}[b[20]]
		if at == 0 {
			return
		}
		l4 := b[54:]
		be.PutUint16(l4[at:], 0)
		be.PutUint16(l4[at:], ^slowSum(uint32(pseudoOf(b[14:], true, b[20], len(l4))), l4))
		return
	}
	if b[14]&15 < 5 || int(b[14]&15)*4 > len(b)-14-20 {
		return
	}
	l3 := b[14:]
	hl := int(l3[0]&15) * 4
	be.PutUint16(l3[10:], 0)
	be.PutUint16(l3[10:], ^slowSum(0, l3[:hl]))
	at := map[byte]int{6: 16, 17: 6}[l3[9]]
	if at == 0 {
		return
	}
	l4 := l3[hl:]
	be.PutUint16(l4[at:], 0)
	be.PutUint16(l4[at:], ^slowSum(uint32(pseudoOf(l3, false, l3[9], len(l4))), l4))
}

// Whatever single bit of a header differs, the packet must be treated as the oracle does: what the template path reads
// is everything there is. With the checksums as they were, and with checksums that fit.
func TestEveryHeaderBitCountsInAFlowThatGoesOn(t *testing.T) {
	ts := []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1}
	for _, s := range []spec{{}, {opt: ts}, udp4, {opt: ts, noDF: true}, v6, {v6: true, opt: ts}, udp6} {
		for _, profile := range []Profile{Linux69, Linux618, Linux7} {
			for _, right := range []bool{false, true} {
				cfg := Config{Profile: profile, UDPPorts: []uint16{4433}}
				r := newRig(t, cfg, umem.Config{Frames: 64})
				head := 54 + len(s.opt)
				if s.udp {
					head = 42
				}
				if s.v6 {
					head += 20
				}
				for bit := range head * 8 {
					in := stream(s, 6, 101)
					in[3][bit/8] ^= 1 << (bit % 8)
					if right {
						mend(in[3])
					}
					o := &oracle{cfg: r.e.Config()}
					for i, b := range in {
						o.receive(i, b)
					}
					o.flush()
					r.recv(in...)
					r.poll()
					var got []string
					for _, g := range r.take() {
						var idx []int
						for _, w := range g.wire {
							for i := range in {
								if bytes.Equal(in[i], w) {
									idx = append(idx, i)
								}
							}
						}
						got = append(got, fmt.Sprint(idx)[1:len(fmt.Sprint(idx))-1])
					}
					if a, b := fmt.Sprint(got), fmt.Sprint(o.out); a != b {
						t.Fatalf("%v bit %d of byte %d, checksums right %v: engine %s, oracle %s", profile, bit%8, bit/8, right, a, b)
					}
				}
			}
		}
	}
}

func TestAFlowThatGoesOnTakesTheShortWay(t *testing.T) {
	for name, s := range map[string]spec{"tcp6": v6, "tcp6 in a VLAN with timestamps": {v6: true, vlan: []uint32{0x8100<<16 | 5}, opt: []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1}}, "udp6": udp6, "tcp": {}, "tcp with timestamps": {opt: []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1}}, "udp": udp4} {
		for _, v := range []Verify{VerifyAll, VerifyMerge, VerifyOff} {
			r := newRig(t, Config{UDPPorts: []uint16{4433}, Verify: v}, umem.Config{})
			in := stream(s, 10, 777)
			r.recv(in[:2]...)
			for _, b := range in[2:] {
				h := r.frame(b)
				if r.e.plain(h, &r.e.pk) != settled {
					t.Fatalf("%s: the template does not match", name)
				}
				r.e.st.In++
			}
			r.poll()
			g := r.take()
			if len(g) != 1 || g[0].segs != 10 || !bytes.Equal(bytes.Join(g[0].wire, nil), bytes.Join(in, nil)) {
				t.Errorf("%s: %v", name, counts(g))
			}
			checkHeaders(t, g[0].b) // also where nothing was verified: the sums were right
		}
	}
}
