package umem

import "testing"

func TestLayersAreThoseOfTheMetadata(t *testing.T) {
	p := onePool(t, 2)
	h := take(t, p, 1)[0]
	for _, moved := range []uint16{0, 4} {
		for tag := range 256 {
			h.Off = uint16(p.u.PacketOffset()) + moved
			stamp(h, byte(tag), 1)
			m := h.Meta(p.u.PacketOffset())
			if l3, l4Off, proto := h.Layers(p.u.PacketOffset()); l3 != m.L3 || l4Off != m.L4Off || proto != m.L4Proto {
				t.Errorf("moved %d, tag %#02x: %d %d %d, want those of %+v", moved, tag, l3, l4Off, proto, m)
			}
		}
	}
}
