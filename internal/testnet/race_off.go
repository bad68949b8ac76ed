//go:build !race

package testnet

// Race says that the race detector watches: it allocates in the process that it watches, and slows that down several times.
const Race = false
