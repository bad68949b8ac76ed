package own

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// buffer is a Ref that knows what is done with it: bytes in several slices.
type buffer struct {
	refs   atomic.Int64
	frames int
	parts  [][]byte
}

func newBuffer(frames int, parts ...string) *buffer {
	b := &buffer{frames: frames}
	b.refs.Store(1)
	for _, p := range parts {
		b.parts = append(b.parts, []byte(p))
	}
	return b
}

func (b *buffer) Retain() {
	if b.refs.Add(1) < 2 {
		panic("retained after its end")
	}
}

func (b *buffer) Release() {
	if b.refs.Add(-1) < 0 {
		panic("released too often")
	}
}

func (b *buffer) Frames() int { return b.frames }

func (b *buffer) Len() (n int) {
	for _, p := range b.parts {
		n += len(p)
	}
	return n
}

func (b *buffer) Segments() iter.Seq[[]byte] { return slices.Values(b.parts) }

func ok[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func none(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clean checks that the test leaves no root.
func clean(t testing.TB) {
	t.Cleanup(func() {
		if l := Tree(); len(l) > 0 {
			t.Errorf("roots left:\n%s", Format(l))
		}
	})
}

func TestAPieceIsTheBytesThatItNamesWhereverTheyLie(t *testing.T) {
	clean(t)
	const text = "Ethernet|IP|TCP|first|second"
	b := newBuffer(2, "Ethernet|IP|", "", "TCP|first|", "second")
	root := New("test", 0)
	p := ok[*Node](t)(root.Take(b))
	for from := range len(text) + 1 {
		for to := from; to <= len(text); to++ {
			piece := ok[*Node](t)(p.Split(from, to))
			if got := string(piece.Bytes(nil)); got != text[from:to] || piece.Len() != to-from {
				t.Fatalf("%d to %d: %q of %d bytes, want %q", from, to, got, piece.Len(), text[from:to])
			}
			if to-from >= 2 {
				inner := ok[*Node](t)(piece.Split(1, to-from-1))
				if got := string(inner.Clone().Bytes(nil)); got != text[from+1:to-1] {
					t.Fatalf("inside %d to %d: %q", from, to, got)
				}
			}
			for s := range piece.Segments() {
				if cap(s) != len(s) {
					t.Fatal("appending to a segment would write into its neighbour")
				}
			}
			piece.Release()
		}
	}
	for _, r := range [][2]int{{-1, 1}, {2, 1}, {0, len(text) + 1}} {
		if _, err := p.Split(r[0], r[1]); err == nil || !strings.Contains(err.Error(), fmt.Sprint("of ", len(text))) {
			t.Errorf("%v: %v", r, err)
		}
	}
	root.Release()
	if b.refs.Load() != 0 {
		t.Error("not given back")
	}
}

func TestReleasingAParentReleasesWhatNobodyElseHolds(t *testing.T) {
	clean(t)
	b := newBuffer(3, "abcdef")
	capture, writer := New("capture", 0), New("writer", 0)
	flow := capture.Owner("flow", 0)
	p := ok[*Node](t)(flow.Hold(b))
	part := ok[*Node](t)(p.Split(1, 3))
	var order []string
	note := func(s string) func() { return func() { order = append(order, s) } }
	flow.OnRelease(note("flow"))
	p.OnRelease(note("packet"))
	p.OnFree(func() {
		if got := b.refs.Load(); got != 2 { // the test's, and the tree's
			t.Errorf("in the destructor of the bytes there are %d references", got)
		}
		order = append(order, "bytes")
	})
	part.OnRelease(note("part"))
	none(t, writer.Adopt(part))
	capture.Release()
	if got := strings.Join(order, " "); got != "packet flow" || b.refs.Load() != 2 {
		t.Errorf("after the parent: %q, %d references", got, b.refs.Load())
	}
	if got := string(part.Bytes(nil)); got != "bc" {
		t.Errorf("the part is %q", got)
	}
	writer.Release()
	if got := strings.Join(order, " "); got != "packet flow part bytes" || b.refs.Load() != 1 {
		t.Errorf("after all: %q, %d references", got, b.refs.Load())
	}
}

func TestALimitIsOfFramesBelowEachOnceAndWhatExceedsItChangesNothing(t *testing.T) {
	clean(t)
	a, b := New("a", 5), New("b", 0)
	inner := a.Owner("inner", 4)
	big := newBuffer(4, "big")
	p := ok[*Node](t)(inner.Take(big))
	for range 3 {
		p.Clone() // shares: free of charge
	}
	var limit *LimitError
	other := newBuffer(2, "other")
	if _, err := inner.Hold(other); !errors.As(err, &limit) || limit.Error() != "own: a/inner holds 4 of at most 4 frames: no room for 2 more" {
		t.Errorf("%v", err)
	}
	if _, err := a.Hold(other); !errors.As(err, &limit) || limit.Owner != "a" || limit.Used != 4 {
		t.Errorf("%v", err)
	}
	if other.refs.Load() != 1 {
		t.Errorf("%d references to what was refused", other.refs.Load())
	}
	q := ok[*Node](t)(b.Take(other))
	r := ok[*Node](t)(b.Take(newBuffer(1, "third")))
	if err := a.Steal(b); !errors.As(err, &limit) || limit.More != 3 || q.parent != b || r.parent != b {
		t.Errorf("%v", err)
	}
	if err := a.Adopt(q); !errors.As(err, &limit) || q.parent != b {
		t.Errorf("%v", err)
	}
	none(t, a.Adopt(r)) // fits
	none(t, a.Adopt(p)) // within a: not charged twice
	none(t, b.Adopt(p)) // all frames of big go with it
	if err := inner.Steal(b); !errors.As(err, &limit) || limit.Owner != "a/inner" || limit.More != 6 || p.parent != b {
		t.Errorf("%v", err)
	}
	none(t, inner.Adopt(q))
	if a.used != 3 || inner.used != 2 {
		t.Errorf("used %d, in it %d; want 1+2 and 2", a.used, inner.used)
	}
	a.Release()
	b.Release()
	if big.refs.Load()+other.refs.Load() != 0 {
		t.Error("not everything was given back")
	}
}

func TestMisuseOfANodePanicsAndSaysWhich(t *testing.T) {
	clean(t)
	root := New("root", 0)
	defer root.Release()
	owner := root.Owner("flow", 0)
	child := ok[*Node](t)(owner.Take(newBuffer(1, "four")))
	grandchild := child.Clone().Named("copy")
	alone := ok[*Node](t)(root.Take(newBuffer(1, "abc")))
	alone.Release()
	for _, c := range []struct {
		do   func()
		want string
	}{
		{func() { child.Adopt(owner) }, "root/flow/a packet's 4 bytes is to get root/flow, which is above it or itself"},
		{func() { owner.Adopt(owner) }, "root/flow is to get root/flow, which is above it or itself"},
		{func() { child.Steal(root) }, "is to get root/flow"},
		{func() { owner.Clone() }, "flow is cloned: it is an owner, it has no bytes"},
		{func() { owner.Bytes(nil) }, "flow is read: it is an owner"},
		{alone.Release, "a packet's 3 bytes is released twice"},
		{func() { alone.Bytes(nil) }, "a packet's 3 bytes is read after its release"},
		{func() { root.Adopt(alone) }, "a packet's 3 bytes is adopted after its release"},
		{func() { owner.Release(); grandchild.Release() }, "copy is released after it went with flow, which was above it"},
		{func() { owner.Hold(newBuffer(1, "x")) }, "flow is given a packet after its release"},
	} {
		func() {
			defer func() {
				e, is := recover().(*MisuseError)
				if !is || !strings.Contains(e.Error(), c.want) {
					t.Errorf("panicked with %v, want %q", e, c.want)
				}
			}()
			c.do()
			t.Errorf("accepted: %s", c.want)
		}()
	}
}

func TestADestructorMayUseTheTreeAndOneThatPanicsStopsNoOther(t *testing.T) {
	clean(t)
	root, spare := New("root", 0), New("spare", 0)
	a, b := newBuffer(1, "a"), newBuffer(1, "b")
	ran := 0
	for _, x := range []*buffer{a, b} {
		n := ok[*Node](t)(root.Take(x))
		n.OnRelease(func() { ran++; panic("in a destructor") })
		n.OnFree(func() { ran++; ok[*Node](t)(spare.Take(newBuffer(1, "from a destructor"))); panic("in another") })
	}
	func() {
		defer func() {
			if v := recover(); v == nil {
				t.Error("the panic is gone")
			}
		}()
		root.Release()
	}()
	if ran != 4 || a.refs.Load() != 0 || b.refs.Load() != 0 || spare.Entry().Refs != 2 {
		t.Errorf("%d destructors ran, %d and %d references, %d new nodes", ran, a.refs.Load(), b.refs.Load(), spare.Entry().Refs)
	}
	spare.Release()
}

func TestTheReportSaysWhoHoldsWhatForHowLongAsAnAlignedTree(t *testing.T) {
	clean(t)
	if got := Report(); got != "holder  packets  frames  limit  bytes  oldest\n" {
		t.Errorf("of nothing: %q", got)
	}
	capture := New("capture", 256)
	defer capture.Release()
	one := capture.Owner("10.0.0.1:80", 0)
	capture.Owner("idle", 8)
	p := ok[*Node](t)(one.Take(newBuffer(2, strings.Repeat("x", 1500))))
	ok[*Node](t)(p.Split(0, 10)).Named("headers")
	capture.Tick()
	ok[*Node](t)(one.Take(newBuffer(1, "young")))
	writer := New("writer", 0)
	defer writer.Release()
	none(t, writer.Adopt(p.Clone())) // the same frames, seen from elsewhere
	e := capture.Entry()
	if e.Oldest <= 0 || len(e.Below) != 2 || e.Below[0].Below[0].Oldest != 0 {
		t.Errorf("%+v", e)
	}
	list := Tree()
	var fix func(l []Entry)
	fix = func(l []Entry) {
		for i := range l {
			if l[i].Oldest > 0 {
				l[i].Oldest = 12_345_678
			}
			fix(l[i].Below)
		}
	}
	fix(list)
	want := `holder          packets  frames  limit  bytes  oldest
capture               3       3    256   1505    12ms
├─ 10.0.0.1:80        3       3      -   1505    12ms
│  └─ headers         1       2      -   1500       -
└─ idle               0       0      8      0       -
writer                1       2      -   1500    12ms
`
	if got := Format(list); got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
}
