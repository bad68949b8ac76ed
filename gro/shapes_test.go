package gro

import (
	"bytes"
	"testing"

	"xrx/umem"
)

// stream returns n packets of one flow that belong together.
func stream(s spec, n, size int) (out [][]byte) {
	for i := range n {
		s.payload = bytes.Repeat([]byte{byte(i + 1)}, size)
		s.payload[0] = byte(i >> 8)
		out = append(out, s.build())
		s.seq += uint32(size)
		s.id++
	}
	return out
}

func TestARunOfOneFlowBecomesOnePacketAndComesApartAgain(t *testing.T) {
	for name, s := range map[string]spec{
		"tcp4":      {},
		"tcp4 opts": {opt: []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}},
		"tcp6":      {v6: true},
		"udp4":      {udp: true, dport: 4433},
		"udp6":      {udp: true, v6: true, dport: 4433},
		"vlan":      {vlan: []uint32{0x8100<<16 | 5}},
		"qinq6":     {v6: true, vlan: []uint32{0x88a8<<16 | 5, 0x8100<<16 | 7}},
		"4in4":      {outer: &spec{}},
		"4in6":      {outer: &spec{v6: true}},
		"6in4":      {v6: true, outer: &spec{}},
		"6in6":      {v6: true, outer: &spec{v6: true}},
		"6 ext":     {v6: true, extType: 0, ext: []byte{60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0}},
	} {
		for _, size := range []int{1000, 1001} {
			t.Run(name, func(t *testing.T) {
				r := newRig(t, Config{UDPPorts: []uint16{4433}}, umem.Config{})
				in := stream(s, 20, size)
				r.recv(in...)
				r.poll()
				g := r.take()
				if len(g) != 1 || g[0].segs != 20 || g[0].gso != size || g[0].csum != umem.CsumFinished {
					t.Fatalf("%v %+v", counts(g), r.e.Stats().Normal)
				}
				for i := range in {
					if !bytes.Equal(in[i], g[0].wire[i]) {
						t.Fatalf("packet %d differs", i)
					}
				}
			})
		}
	}
}
