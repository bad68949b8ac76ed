package testnet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"xrx/internal/vethnet"
)

// Options describes the network; see vethnet.Options.
type Options = vethnet.Options

// End is one end of the veth pair; see vethnet.End.
type End = vethnet.End

// Net is a vethnet.Net whose methods fail the test instead of returning an
// error. A is the sending end, B the receiving one.
type Net struct {
	*vethnet.Net
	t testing.TB
}

// New builds the network and removes it when the test ends, however it ends.
// Call Require first.
func New(t testing.TB, o Options) *Net {
	t.Helper()
	n, err := vethnet.Build(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("remove veth network: %v", err)
		}
	})
	return &Net{Net: n, t: t}
}

// InA runs f on the test's goroutine inside namespace A: what it opens or
// starts belongs there. t.Fatal may be called from f.
func (n *Net) InA(f func()) { n.t.Helper(); n.in(n.A, f) }

// InB does the same in namespace B.
func (n *Net) InB(f func()) { n.t.Helper(); n.in(n.B, f) }

func (n *Net) in(e *End, f func()) {
	n.t.Helper()
	if err := e.Do(func() error { f(); return nil }); err != nil {
		n.t.Fatal(err)
	}
}

// Exec runs a command inside one end's namespace and returns what it printed. Where there is no such command the test is
// skipped: one that has begun something by then asks for it at its beginning (Require).
func (n *Net) Exec(e *End, name string, args ...string) string {
	n.t.Helper()
	Require(n.t, "cmd:"+name)
	out, err := e.Exec(context.Background(), name, args...)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(out)
}

// Recreate makes the pair again that was deleted.
func (n *Net) Recreate() {
	n.t.Helper()
	if err := n.Net.Recreate(); err != nil {
		n.t.Fatal(err)
	}
}

// UniqueName returns prefix with a random suffix, for namespaces that several
// test processes create at once.
func UniqueName(prefix string) string {
	return fmt.Sprintf("%s-%08x", prefix, rand.Uint32())
}
