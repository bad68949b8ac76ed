package xrx_test

import (
	"flag"
	"testing"
	"time"

	"xrx/internal/oracle"
	"xrx/internal/testnet"
)

var (
	oracleSeed   = flag.Uint64("oracle.seed", 0, "seed of the first burst that the kernel is asked about; 0 = as XRX_SEED and XRX_LONG say")
	oracleBursts = flag.Int("oracle.bursts", 0, "bursts that the kernel is asked about; 0 = 1000, or 150 with -short")
)

// firstSeed returns the seed of the first burst, and prints it.
func firstSeed(t *testing.T) uint64 {
	seed := *oracleSeed
	if seed == 0 {
		seed = testnet.Seed(t) & (1<<32 - 1)
	}
	t.Logf("first seed %d: again with -run '^%s$' -oracle.seed %d", seed, t.Name(), seed)
	return seed
}

// The kernel is the oracle: random bursts, once through its GRO and once through the receiver's, on equal veth pairs.
// What is delivered must be equal: order, every byte, gso_size and number of segments.
func TestKernelAndReceiverMergeRandomBurstsAlike(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	bursts := *oracleBursts
	if bursts == 0 {
		if bursts = 1000; testing.Short() {
			bursts = 150
		}
	}
	seed := firstSeed(t)
	k, o := newKernelSide(t), newOwnSide(t, oracleProfile, 1024)
	var frames, delivered, merged, again, failed int
	allowed := map[string]int{}
	began := time.Now()
	for i := range uint64(bursts) {
		b := oracle.Random(seed + i)
		diff, kernel, own, asked := disagree(t, k, o, b, b.Frames(), oracle.Difference)
		frames += len(b)
		delivered += len(own)
		again += asked - 1
		for _, r := range own {
			if r.Segs > 1 {
				merged += r.Segs
			}
		}
		for _, p := range b {
			if p.Allow != "" {
				allowed[p.Allow]++
			}
		}
		if diff == "" {
			continue
		}
		if failed++; failed > 3 {
			t.Fatalf("and more: stopped after %d bursts", i+1)
		}
		patience := time.Now().Add(15 * time.Second)
		small := oracle.Minimise(b, 60, func(b oracle.Burst) bool {
			if time.Now().After(patience) {
				return false
			}
			d, _, _, _ := disagree(t, k, o, b, b.Frames(), oracle.Difference)
			return d != ""
		})
		if d, k, o, _ := disagree(t, k, o, small, small.Frames(), oracle.Difference); d != "" {
			diff, kernel, own = d, k, o
		} else {
			small = b
		}
		t.Errorf("seed %d: %s\nthe burst, made smaller from %d frames:\n%sthe kernel delivered\n%sthe receiver delivered\n%s",
			seed+i, diff, len(b), small, oracle.List(kernel), oracle.List(own))
	}
	t.Logf("%d bursts of %d frames in %v: %d delivered, %d frames merged, allowances used %v, kernel asked again %d times",
		bursts, frames, time.Since(began).Round(time.Millisecond), delivered, merged, allowed, again)
	if merged < frames/4 {
		t.Errorf("only %d of %d frames were merged: the bursts ask nothing", merged, frames)
	}
}
