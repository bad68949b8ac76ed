package testnet

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Seed returns the seed of a randomised test and logs it: the one in XRX_SEED, else a new one where XRX_LONG asks for
// long runs, else always the same, so that a change is judged by its own merits.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := uint64(1)
	if s := os.Getenv("XRX_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 0, 64); err != nil {
			t.Fatalf("XRX_SEED: %v", err)
		}
	} else if os.Getenv("XRX_LONG") != "" {
		seed = rand.Uint64()
	}
	t.Logf("XRX_SEED=%d", seed)
	return seed
}
