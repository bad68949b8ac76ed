package csum

import (
	"os"
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"
)

// fenced returns n bytes of memory between two pages that fault on any access.
// n is rounded up to whole pages. The capacity goes on into the page behind.
func fenced(t *testing.T, n int) []byte {
	t.Helper()
	page := os.Getpagesize()
	n = (n + page - 1) / page * page
	m, err := unix.Mmap(-1, 0, n+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatalf("map: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(m); err != nil {
			t.Errorf("unmap: %v", err)
		}
	})
	for _, guard := range [][]byte{m[:page], m[page+n:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			t.Fatalf("protect: %v", err)
		}
	}
	return m[page : page+n]
}

func TestNoKernelReadsOutsideItsInput(t *testing.T) {
	mem := fenced(t, 4096)
	copy(mem, bytesOf(11, len(mem)))
	for _, k := range kernels() {
		for n := range 1700 {
			check(t, k, mem[len(mem)-n:]) // up to the page behind
			check(t, k, mem[:n])          // from the page before
		}
		check(t, k, mem)
	}
}

func TestAReadOneByteBehindTheFenceFaults(t *testing.T) {
	// The test above proves something only if the fence holds.
	mem := fenced(t, 4096)
	for _, k := range kernels() {
		for _, n := range []int{1, 65, 129, 1449} {
			if !faults(func() { sink = k.sum(mem[len(mem)-n+1 : len(mem)+1]) }) {
				t.Errorf("%s read %d bytes, the last behind the fence, without a fault", k.name, n)
			}
			if faults(func() { sink = k.sum(mem[len(mem)-n:]) }) {
				t.Errorf("%s faulted on %d bytes before the fence", k.name, n)
			}
		}
	}
}

// faults says whether f touched memory it may not.
func faults(f func()) (fault bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { fault = recover() != nil }()
	f()
	return false
}
