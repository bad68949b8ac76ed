package main

import "os"

// garbageMost is how much garbage may pile up before it is collected, at least.
const garbageMost = 32 << 20

// ballast is memory that counts and is not there: nothing ever writes to it.
var ballast []byte

// rarelyCollect makes collections of garbage rare, unless the environment says how often (GOGC, GOMEMLIMIT). Go collects
// whenever as much is new as was in use, and at 4 MB in any case; with the little that a receiver makes that was a second
// after its start, and beside a source and a receiver that want all processors there are it takes 20 to 35 ms, in which
// packets wait (docs/adr/0023). The ballast is in use, as far as the collector knows, so that as much more may be new.
// Commands call it before they open a receiver.
func rarelyCollect() {
	if ballast == nil && os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		ballast = make([]byte, garbageMost)
	}
}
