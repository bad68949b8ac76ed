package umem

import (
	"encoding/binary"
	"testing"
)

// stamp writes metadata as the XDP program does: the fields, then the tag in the last byte before the packet.
func stamp(h *Header, tag byte, ts uint64) {
	b := h.Before(20)
	binary.NativeEndian.PutUint64(b, ts)
	binary.NativeEndian.PutUint32(b[8:], 0xa1b2c3d4)
	binary.NativeEndian.PutUint16(b[12:], 0x6123)
	b[14] = byte(HashL4 | VLANInBand | HashSym)
	b[15], b[16], b[17], b[18], b[19] = 6, 18, 58, 17, tag
}

func TestMetadataIsReadBackwardsFromItsTag(t *testing.T) {
	fields := Meta{Hash: 0xa1b2c3d4, VLANTCI: 0x6123, Flags: HashL4 | VLANInBand | HashSym, L3: 6, L3Off: 18, L4Off: 58, L4Proto: 17}
	kind1, kind2 := fields, fields
	kind1.Kind = 1
	kind2.Kind, kind2.Timestamp = 2, 123456789
	for _, c := range []struct {
		name  string
		tag   byte
		moved int
		want  Meta
	}{
		{"no metadata", 0x00, 0, Meta{}},
		{"kind 1 has no receive time", 0x13, 0, kind1},
		{"kind 2 has one", 0x25, 0, kind2},
		{"kind 1 of another length is not ours", 0x14, 0, Meta{}},
		{"kind 2 of another length is not ours", 0x23, 0, Meta{}},
		{"a kind that there is not", 0x33, 0, Meta{}},
		{"somebody else's bytes", 0xff, 0, Meta{}},
		{"a packet that was moved has none of ours", 0x13, 4, Meta{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := onePool(t, 2)
			h := take(t, p, 1)[0]
			stamp(h, c.tag, 123456789)
			h.Off += uint16(c.moved)
			if got := h.Meta(p.u.PacketOffset()); got != c.want {
				t.Errorf("%+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestAllByteValuesOfTheTagDecodeOrMeanNone(t *testing.T) {
	p := onePool(t, 2)
	h := take(t, p, 1)[0]
	for tag := range 256 {
		stamp(h, byte(tag), 1)
		want := map[int]uint8{0x13: 1, 0x25: 2}[tag]
		if m := h.Meta(p.u.PacketOffset()); m.Kind != want || (want == 0) != (m == Meta{}) {
			t.Errorf("tag %#02x: %+v", tag, m)
		}
	}
}

// The driver may refuse metadata for the next packet in the same chunk: then this must not be the last one's.
func TestAPoolThatDistrustsTagsNeverShowsThoseOfTheLastPacket(t *testing.T) {
	for _, cfg := range []Config{{Frames: 3}, {Frames: 3, Headroom: 320}, {Frames: 3, ChunkSize: 3000, Unaligned: true}} {
		u, ps := region(t, cfg, 1)
		p := ps[0]
		known := func(h *Header) bool { return h.Meta(u.PacketOffset()) != Meta{} }
		early := take(t, p, 3)
		for _, h := range early {
			stamp(h, 0x25, 1)
		}
		p.Deliver(early[1])
		p.Drop(early[2])
		p.Distrust()
		for i, h := range early {
			// A delivered packet came before, with a tag of its own, and its headroom is the holder's.
			if h.Off = uint16(u.PacketOffset()); known(h) != (p.u.State(h) == Delivered) {
				t.Errorf("frame %d, %v: kept its tag when trust ended: %v", i, p.u.State(h), known(h))
			}
		}
		p.Drop(early[0])
		for range 2 { // a second call changes nothing
			h := take(t, p, 1)[0]
			if known(h) {
				t.Fatalf("stale metadata: %+v", h.Meta(u.PacketOffset()))
			}
			stamp(h, 0x13, 1) // and what comes with a packet from now on is its own
			if !known(h) {
				t.Fatal("metadata of this packet is gone")
			}
			p.Distrust()
			p.Drop(h)
		}
	}
}
