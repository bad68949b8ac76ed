package csum

import "testing"

// FuzzSum holds every kernel to the oracle at every alignment within a cache
// line, and cuts the input in two, whose sums must add up to that of the whole.
// Run it with -fuzzminimizetime 10x: with the default the workers spend their time
// shrinking inputs (80,000 executions a second against 2,000).
func FuzzSum(f *testing.F) {
	for _, n := range []int{0, 1, 7, 20, 63, 64, 65, 127, 128, 129, 191, 257, 1448, 1460, 9001} {
		f.Add(bytesOf(12, n), uint8(n), uint16(n/3))
	}
	ks := kernels()
	buf := make([]byte, 64+1<<17)
	f.Fuzz(func(t *testing.T, in []byte, align uint8, cut uint16) {
		if len(in) > 1<<17 {
			t.Skip("longer than the buffer")
		}
		// What lies around the input must not matter.
		for i := range buf[:min(len(buf), len(in)+128)] {
			buf[i] = ^align
		}
		b := buf[align%64:][:len(in)]
		copy(b, in)
		want := oracle(in)
		at := min(int(cut), len(b))
		for _, k := range ks {
			if got := k.sum(b); got != want {
				t.Errorf("%s of %d bytes at offset %d: got %#04x, want %#04x", k.name, len(b), align%64, got, want)
			}
			right := k.sum(b[at:])
			if at%2 == 1 {
				right = Swap(right)
			}
			if got := Add(k.sum(b[:at]), right); got != want {
				t.Errorf("%s in parts of %d and %d bytes: got %#04x, want %#04x", k.name, at, len(b)-at, got, want)
			}
		}
	})
}
