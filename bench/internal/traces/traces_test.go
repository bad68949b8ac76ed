package traces

import (
	"encoding/binary"
	"testing"
)

func TestTracesAreThePinnedBytes(t *testing.T) {
	ts, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if len(ts) != len(pinned) {
		t.Fatalf("%d traces, want %d", len(ts), len(pinned))
	}
	for _, tr := range ts {
		if len(tr.Frames)%Burst != 0 {
			t.Errorf("%s: %d frames are no whole number of bursts", tr.Name, len(tr.Frames))
		}
		for i, f := range tr.Frames {
			verify(t, tr.Name, i, f)
		}
	}
}

func TestAdvancedFramesContinueTheirFlow(t *testing.T) {
	tr := Many(300)
	for i, f := range tr.Frames {
		was := binary.BigEndian.Uint32(f[ethLen+ipLen+4:])
		for _, k := range []int{0, 1, 70000} {
			b := append([]byte(nil), f...)
			Advance(b, k)
			verify(t, "flows", i, b)
			if got := binary.BigEndian.Uint32(b[ethLen+ipLen+4:]); got != was+uint32(k*manyPayload) {
				t.Fatalf("frame %d advanced by %d: sequence number %d after %d", i, k, got, was)
			}
		}
	}
}

// verify fails the test unless both checksums and all lengths of a frame are right.
func verify(t *testing.T, name string, i int, f []byte) {
	t.Helper()
	ip := f[ethLen:]
	if checksum(ip[:ipLen], 0) != 0 {
		t.Fatalf("%s frame %d: IPv4 checksum is wrong", name, i)
	}
	if n := int(binary.BigEndian.Uint16(ip[2:])); n != len(ip) {
		t.Fatalf("%s frame %d: tot_len %d of %d", name, i, n, len(ip))
	}
	if checksum(ip[ipLen:], pseudo(f)) != 0 {
		t.Fatalf("%s frame %d: layer 4 checksum is wrong", name, i)
	}
}
