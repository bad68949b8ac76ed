package csum

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// oracle is RFC 1071 section 1 word for word, a byte at a time, in network
// order; oracle's result is turned into the native order at the end.
func oracle(b []byte) uint16 {
	var s uint32
	for i, v := range b {
		if i%2 == 0 {
			s += uint32(v) << 8
		} else {
			s += uint32(v)
		}
		s = s&0xffff + s>>16
	}
	return native(uint16(s))
}

// native turns a value in network order into the native-order word.
func native(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

func bytesOf(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// kernel is one implementation of Sum that this machine can run.
type kernel struct {
	name string
	sum  func([]byte) uint16
}

func TestSumOfKnownBytes(t *testing.T) {
	ff := make([]byte, 65535)
	for i := range ff {
		ff[i] = 0xff
	}
	for _, c := range []struct {
		name string
		in   []byte
		want uint16 // network order
	}{
		{"RFC 1071 section 3 example", []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0xddf2},
		{"RFC 1071 section 3 first two words", []byte{0x00, 0x01, 0xf2, 0x03}, 0xf204},
		{"nothing sums to zero", nil, 0},
		{"an odd byte is padded on the right", []byte{0xab}, 0xab00},
		{"zeros stay positive zero", make([]byte, 1500), 0},
		{"ones stay negative zero", ff[:1500], 0xffff},
		{"an odd run of ones", ff[:1501], 0xff00},
		{"the longest datagram of ones", ff, 0xff00},
		{"a carry goes round twice", []byte{0xff, 0xff, 0x00, 0x01, 0xff, 0xff}, 0x0001},
		{"an intact IPv4 header", []byte{0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7}, 0xffff},
	} {
		for _, k := range kernels() {
			if got := k.sum(c.in); got != native(c.want) {
				t.Errorf("%s, %s: got %#04x, want %#04x", k.name, c.name, got, native(c.want))
			}
		}
	}
}

func TestEveryKernelAgreesWithTheOracleAtEveryLengthAndAlignment(t *testing.T) {
	buf := bytesOf(1, 4096)
	for _, k := range kernels() {
		for off := range 65 {
			for n := range 600 {
				check(t, k, buf[off:off+n])
			}
			for _, n := range []int{1199, 1200, 1447, 1448, 1449, 1460, 2047, 2048, 4000} {
				check(t, k, buf[off:off+n])
			}
		}
	}
}

func TestEveryKernelAgreesWithTheOracleOnLongInput(t *testing.T) {
	buf := bytesOf(2, 70000)
	for _, k := range kernels() {
		for _, n := range []int{9000, 9001, 65534, 65535, 65536, 69000} {
			for _, off := range []int{0, 1, 2, 34, 63} {
				check(t, k, buf[off:off+n])
			}
		}
	}
}

func TestSumStaysExactBeyondTheRangeOfAnyKernel(t *testing.T) {
	const mib = 1 << 20
	buf := make([]byte, 3*mib+1)
	for i := range buf {
		buf[i] = 0xff // the largest sum every lane can get
	}
	for _, n := range []int{mib - 1, mib, mib + 1, 2 * mib, 3 * mib} {
		for _, k := range kernels() {
			check(t, k, buf[:n])
			check(t, k, buf[1:n+1])
		}
	}
}

func TestEveryKernelCarriesOutOfEveryLane(t *testing.T) {
	// Runs of 0xff with a single changed byte make every partial sum carry.
	buf := make([]byte, 1600)
	for _, k := range kernels() {
		for i := range buf {
			for j := range buf {
				buf[j] = 0xff
			}
			buf[i] = byte(i)
			check(t, k, buf[i%7:])
			check(t, k, buf[:1448+i%64])
		}
	}
}

func check(t *testing.T, k kernel, b []byte) {
	t.Helper()
	if got, want := k.sum(b), oracle(b); got != want {
		t.Fatalf("%s of %d bytes: got %#04x, want %#04x", k.name, len(b), got, want)
	}
}

func TestNothingAllocates(t *testing.T) {
	b := bytesOf(3, 1448)
	for _, k := range kernels() {
		if n := testing.AllocsPerRun(100, func() { sink = k.sum(b) }); n != 0 {
			t.Errorf("%s: %v allocations", k.name, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		var hdr [256]byte // must stay on the stack
		hdr[0] = b[0]
		sink = Sum(hdr[:]) + Header20(hdr[:]) + PseudoIPv4(hdr[:], hdr[4:], 6, 1448) + PseudoIPv6(hdr[:], hdr[16:], 6, 1448)
	}); n != 0 {
		t.Errorf("stack buffer: %v allocations", n)
	}
}

var sink uint16
