package lab

import "runtime"

// CountAllocs begins to count heap allocations of the whole program; the function it returns says how many there were.
func CountAllocs() func() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.Mallocs
	return func() uint64 {
		runtime.ReadMemStats(&m)
		return m.Mallocs - before
	}
}
