package prefetch

import (
	"bytes"
	"fmt"
	"testing"
)

// What can be seen of it from the outside: that it changes no memory, and that no length or start is a fault, nor what
// lies behind the memory there is.
func TestAskingChangesNothingAndIsNoFault(t *testing.T) {
	b := bytes.Repeat([]byte{0xa5}, 4096)
	want := bytes.Clone(b)
	for from := range 130 {
		for n := -1; n < 300; n++ {
			Lines(b[from:], n)
		}
		Lines(b[from:], len(b))
		Lines(b[from:], 1<<20) // far beyond
	}
	Lines(nil, 64)
	Lines(b[:0], 64)
	if !bytes.Equal(b, want) {
		t.Error("memory was changed")
	}
	if n := testing.AllocsPerRun(100, func() { Lines(b, 1514) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLines(b *testing.B) {
	mem := make([]byte, 2048)
	for _, n := range []int{64, 1514} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				Lines(mem, n)
			}
		})
	}
}
