package xrx_test

import (
	"testing"

	"xrx/internal/oracle"
	"xrx/internal/testnet"
)

// An oracle that finds nothing may be blind. So the receiver is made to look as if it had a known bug, one after the
// other (see oracle.Mutant), and the same comparison must find each, by what was merged with what alone: the bytes that
// the mutation changed do not count.
func TestKernelFindsAReceiverThatIsBlindToSomething(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const most = 600            // bursts per mutant; a few dozen are usual
	seed := max(1, *oracleSeed) // the same bursts each time: what is looked at is the oracle
	k, o := newKernelSide(t), newOwnSide(t, oracleProfile, 1024)
	for _, m := range oracle.Mutants {
		t.Run(m.Name, func(t *testing.T) {
			asked := 0
			for i := range uint64(most) {
				b := oracle.Random(seed + i)
				blind := m.Blind(b)
				if m.Sees(b, blind) { // nothing in it that the mutant is blind to
					continue
				}
				asked++
				if diff, _, _, _ := disagree(t, k, o, b, blind, oracle.ShapeDifference); diff != "" {
					small := oracle.Minimise(b, 40, func(b oracle.Burst) bool {
						d, _, _, _ := disagree(t, k, o, b, m.Blind(b), oracle.ShapeDifference)
						return d != ""
					})
					t.Logf("found by burst %d, number %d with a difference to be blind to; shown by %d packets of %d:\n%s", i+1, asked, len(small), len(b), small.Notes())
					return
				}
			}
			t.Errorf("%d bursts, %d of them with a difference to be blind to, and none told", most, asked)
		})
	}
}
