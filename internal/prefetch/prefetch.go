// Package prefetch asks the processor for memory that will be read soon, so that it is under way while something else is
// done. It changes nothing but time, and asking for memory that is not there is no fault.
//
// It is for memory that another processor wrote last: there a cache line takes ten times as long to come as from the
// processor's own caches, and what it can ask for by itself, looking ahead in the instructions, ends long before the next
// packet (docs/adr/0013).
package prefetch

// Lines asks for the n bytes from the start of b on, whatever b's own length is: in steps of 64 bytes, so that where a
// cache's lines are longer some are asked for twice.
func Lines(b []byte, n int) {
	if len(b) > 0 && n > 0 {
		lines(&b[0], n)
	}
}
