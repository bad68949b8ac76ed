package csum

import (
	"encoding/binary"
	"math"
	"testing"
)

func TestFoldMatchesRepeatedEndAroundCarry(t *testing.T) {
	for _, s := range []uint64{0, 1, 0xfffe, 0xffff, 0x10000, 0x1ffff, 0xffffffff, 1 << 32, 0xffff_ffff_0000_0000,
		0xffff_0000_ffff_0000, math.MaxUint64 - 1, math.MaxUint64, 0x0001_fffe_ffff_ffff} {
		want := s
		for want > 0xffff {
			want = want>>16 + want&0xffff
		}
		if got := Fold(s); got != uint16(want) {
			t.Errorf("Fold(%#x) = %#04x, want %#04x", s, got, want)
		}
	}
}

func TestAddOfPartsIsTheSumOfTheWhole(t *testing.T) {
	b := bytesOf(4, 301)
	for cut := range b {
		left, right := Sum(b[:cut]), Sum(b[cut:])
		if cut%2 == 1 {
			right = Swap(right)
		}
		if got := Add(left, right); got != Sum(b) {
			t.Fatalf("cut at %d: got %#04x, want %#04x", cut, got, Sum(b))
		}
	}
}

func TestSubUndoesAdd(t *testing.T) {
	for a := range 0x10000 {
		for _, b := range []uint16{0, 1, 0x00ff, 0x7fff, 0x8000, 0xfffe, 0xffff, uint16(a), ^uint16(a)} {
			got := Sub(Add(uint16(a), b), b)
			// 0 and 0xffff are the same number modulo 65535.
			if got%0xffff != uint16(a)%0xffff {
				t.Fatalf("Sub(Add(%#x, %#x)) = %#x", a, b, got)
			}
		}
	}
}

func TestUpdate16MatchesSummingAgain(t *testing.T) {
	b := bytesOf(5, 40)
	for _, at := range []int{0, 6, 38} {
		for _, after := range []uint16{0, 1, 0x8000, 0xfffe, 0xffff} {
			before := binary.NativeEndian.Uint16(b[at:])
			old := ^Sum(b)
			binary.NativeEndian.PutUint16(b[at:], after)
			if got, want := Update16(old, before, after), ^Sum(b); got != want {
				t.Errorf("word at %d, %#04x to %#04x: got %#04x, want %#04x", at, before, after, got, want)
			}
		}
	}
	// RFC 1624 section 4, the case that eqn. 2 gets wrong.
	if got := Update16(0xdd2f, 0x5555, 0x3285); got != 0x0000 {
		t.Errorf("RFC 1624 section 4 example: got %#04x, want 0x0000", got)
	}
}

func TestPseudoHeadersMatchTheirBytes(t *testing.T) {
	addr := bytesOf(6, 32)
	for _, proto := range []uint8{6, 17, 255} {
		for _, n := range []int{0, 8, 20, 1448, 0xfffe, 0xffff} {
			v4 := append([]byte{}, addr[:8]...)
			v4 = append(v4, 0, proto)
			v4 = binary.BigEndian.AppendUint16(v4, uint16(n))
			if got, want := PseudoIPv4(addr[:4], addr[4:8], proto, n), oracle(v4); got != want {
				t.Errorf("IPv4 protocol %d length %d: got %#04x, want %#04x", proto, n, got, want)
			}
		}
		for _, n := range []int{0, 8, 1448, 0xffff, 0x10000, 0x12345678} {
			v6 := append([]byte{}, addr[:32]...)
			v6 = binary.BigEndian.AppendUint32(v6, uint32(n))
			v6 = append(v6, 0, 0, 0, proto)
			if got, want := PseudoIPv6(addr[:16], addr[16:32], proto, n), oracle(v6); got != want {
				t.Errorf("IPv6 protocol %d length %d: got %#04x, want %#04x", proto, n, got, want)
			}
		}
	}
}

func TestHeader20SumsTwentyBytesAndNoMore(t *testing.T) {
	for off := range 8 {
		b := bytesOf(7, 40)[off:]
		if got, want := Header20(b), oracle(b[:20]); got != want {
			t.Errorf("offset %d: got %#04x, want %#04x", off, got, want)
		}
	}
}

func TestATCPSegmentWithAValidChecksumSumsToNegativeZero(t *testing.T) {
	for _, payload := range []int{0, 1, 2, 1447, 1448} {
		src, dst := []byte{192, 0, 2, 1}, []byte{198, 51, 100, 7}
		seg := bytesOf(8, 20+payload)
		binary.NativeEndian.PutUint16(seg[16:], 0)
		pseudo := PseudoIPv4(src, dst, 6, len(seg))
		binary.NativeEndian.PutUint16(seg[16:], ^Add(pseudo, Sum(seg)))
		if got := Add(pseudo, Sum(seg)); got != 0xffff {
			t.Errorf("payload of %d bytes: got %#04x, want 0xffff", payload, got)
		}
		seg[0] ^= 1
		if got := Add(pseudo, Sum(seg)); got == 0xffff {
			t.Errorf("payload of %d bytes: a flipped bit went unseen", payload)
		}
	}
}
