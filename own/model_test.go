package own

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"xrx/internal/testnet"
)

// model says by brute force what a tree must be: every question is answered by walking everything.
type model struct {
	t     testing.TB
	nodes []*modelNode // all that ever were
	bytes []*modelBytes
}

type modelNode struct {
	real   *Node
	parent *modelNode
	data   *modelBytes
	lo, hi int
	limit  int
	gone   bool
	ran    int // its destructor
}

type modelBytes struct {
	*buffer
	freed int
}

const modelText = "0123456789abcdef"

func (m *model) alive() (list []*modelNode) {
	for _, n := range m.nodes {
		if !n.gone {
			list = append(list, n)
		}
	}
	return list
}

// under reports whether n is top, or below it.
func (n *modelNode) under(top *modelNode) bool {
	for ; n != nil; n = n.parent {
		if n == top {
			return true
		}
	}
	return false
}

func (m *model) frames(top *modelNode, with ...*modelBytes) (sum int) {
	seen := slices.Clone(with)
	for _, n := range m.alive() {
		if n.data != nil && n.under(top) && !slices.Contains(seen, n.data) {
			seen = append(seen, n.data)
		}
	}
	slices.SortFunc(seen, func(a, b *modelBytes) int { return slices.Index(m.bytes, a) - slices.Index(m.bytes, b) })
	for _, b := range slices.Compact(seen) {
		sum += b.frames
	}
	return sum
}

// below returns the bytes at and below a node.
func (m *model) below(top *modelNode) (list []*modelBytes) {
	for _, n := range m.alive() {
		if n.data != nil && n.under(top) {
			list = append(list, n.data)
		}
	}
	return list
}

// room reports whether to and all above it may hold these too.
func (m *model) room(to *modelNode, more []*modelBytes) bool {
	for ; to != nil; to = to.parent {
		if grown := m.frames(to, more...); to.limit > 0 && grown > to.limit && grown > m.frames(to) {
			return false
		}
	}
	return true
}

func (m *model) add(n *modelNode) *modelNode {
	n.real.OnRelease(func() { n.ran++ })
	m.nodes = append(m.nodes, n)
	return n
}

func (m *model) misused(want bool, do func()) {
	defer func() {
		_, is := recover().(*MisuseError)
		if is != want {
			m.t.Fatalf("misuse seen %v, want %v", is, want)
		}
	}()
	do()
}

// step does one thing, chosen by op, to nodes chosen by a and b.
func (m *model) step(op, a, b byte) {
	list := m.alive()
	if len(list) == 0 || op%16 == 0 && len(list) < 40 {
		limit := int(a % 9)
		m.add(&modelNode{real: New(fmt.Sprint("root ", len(m.nodes)), limit), limit: limit})
		return
	}
	x, y := list[int(a)%len(list)], list[int(b)%len(list)]
	moved := func(err error, fits bool) bool {
		var l *LimitError
		if (err == nil) != fits || err != nil && !errors.As(err, &l) {
			m.t.Fatalf("%v; by the model it fits: %v", err, fits)
		}
		return err == nil
	}
	switch op % 16 {
	case 1, 2:
		limit := int(b % 9)
		m.add(&modelNode{real: x.real.Owner(fmt.Sprint("owner ", len(m.nodes)), limit), parent: x, limit: limit})
	case 3, 4, 5, 6:
		data := &modelBytes{buffer: newBuffer(1+int(b%3), modelText[:5], modelText[5:])}
		m.bytes = append(m.bytes, data)
		fits := m.room(x, []*modelBytes{data})
		if n, err := x.real.Hold(data); moved(err, fits) {
			n.OnFree(func() {
				if data.freed++; data.refs.Load() != 2 {
					m.t.Errorf("freed with %d references", data.refs.Load())
				}
			})
			m.add(&modelNode{real: n, parent: x, data: data, hi: len(modelText)})
		}
	case 7, 8:
		m.misused(x.data == nil, func() {
			m.add(&modelNode{real: x.real.Clone(), parent: x, data: x.data, lo: x.lo, hi: x.hi})
		})
	case 9, 10:
		m.misused(x.data == nil, func() {
			lo, hi := int(b%8), int(b/8)
			n, err := x.real.Split(lo, hi)
			if ok := lo <= hi && hi <= x.hi-x.lo; (err == nil) != ok {
				m.t.Fatalf("%d to %d of %d: %v", lo, hi, x.hi-x.lo, err)
			} else if ok {
				m.add(&modelNode{real: n, parent: x, data: x.data, lo: x.lo + lo, hi: x.lo + hi})
			}
		})
	case 11, 12:
		m.misused(x.under(y), func() {
			fits := x == y.parent || m.fitsMoved(x, []*modelNode{y})
			if moved(x.real.Adopt(y.real), fits) {
				y.parent = x
			}
		})
	case 13:
		var children []*modelNode
		ring := false
		for _, n := range list {
			if n.parent == y {
				children = append(children, n)
				ring = ring || x.under(n)
			}
		}
		m.misused(ring && x != y, func() {
			if moved(x.real.Steal(y.real), x == y || m.fitsMoved(x, children)) && x != y {
				for _, n := range children {
					n.parent = x
				}
			}
		})
	case 14, 15:
		x.real.Release()
		for _, n := range list {
			n.gone = n.gone || n.under(x)
		}
		m.misused(true, x.real.Release)
	}
}

// fitsMoved reports whether nodes of one parent may move to another: as if they were nowhere.
func (m *model) fitsMoved(to *modelNode, nodes []*modelNode) bool {
	var data []*modelBytes
	for _, n := range nodes {
		data = append(data, m.below(n)...)
	}
	old := make([]*modelNode, len(nodes))
	for i, n := range nodes {
		old[i], n.parent = n.parent, nil
	}
	defer func() {
		for i, n := range nodes {
			n.parent = old[i]
		}
	}()
	return m.room(to, data)
}

func (m *model) check() {
	refs := map[*modelBytes]bool{}
	for _, n := range m.nodes {
		if want := map[bool]int{true: 1}[n.gone]; n.ran != want {
			m.t.Fatalf("a destructor ran %d times, want %d", n.ran, want)
		}
		if n.gone {
			continue
		}
		if n.data != nil {
			refs[n.data] = true
			if got := string(n.real.Bytes(nil)); got != modelText[n.lo:n.hi] {
				m.t.Fatalf("%q, want %q", got, modelText[n.lo:n.hi])
			}
		}
		e := n.real.Entry()
		if want := m.frames(n); e.Frames != want || n.limit > 0 && n.real.used != want || e.Limit != n.limit || e.Refs != len(m.below(n)) {
			m.t.Fatalf("%+v, used %d; want %d frames, limit %d, %d packets", e, n.real.used, want, n.limit, len(m.below(n)))
		}
	}
	for _, b := range m.bytes {
		held := map[bool]int{true: 1}[refs[b]]
		if got := int(b.refs.Load()); got != 1+held || held+b.freed > 1 {
			m.t.Fatalf("bytes with %d references, freed %d times; held: %d", got, b.freed, held)
		}
	}
}

func (m *model) play(program []byte) {
	for i := 0; i+2 < len(program); i += 3 {
		m.step(program[i], program[i+1], program[i+2])
		m.check()
	}
	for _, n := range m.alive() {
		if n.parent == nil {
			n.real.Release()
		}
	}
	for _, n := range m.nodes {
		n.gone = true
	}
	m.check()
}

func TestRandomTreesAreWhatANaiveModelSays(t *testing.T) {
	clean(t)
	rng := rand.New(rand.NewPCG(testnet.Seed(t), 4))
	for range 300 {
		program := make([]byte, 3*120)
		for i := range program {
			program[i] = byte(rng.Uint32())
		}
		(&model{t: t}).play(program)
	}
}

func FuzzTree(f *testing.F) {
	f.Add([]byte{0, 0, 0, 3, 0, 0, 9, 1, 60, 0, 0, 0, 11, 3, 2, 14, 0, 0})
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 3*200 {
			t.Skip()
		}
		(&model{t: t}).play(program)
		if l := Tree(); len(l) > 0 {
			t.Fatalf("roots left:\n%s", Format(l))
		}
	})
}

// Several goroutines, each with nodes of its own, pass them on through an owner that all of them put into and steal from.
func TestGoroutinesThatPassNodesAroundLeakNothing(t *testing.T) {
	clean(t)
	seed := testnet.Seed(t)
	const workers, steps = 4, 3000
	var held, freed, released, nodes atomic.Int64
	var refused atomic.Int64
	var buffers sync.Map
	pool := New("pool", 64)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			mine := New(fmt.Sprint("worker ", w), 100)
			var own []*Node
			track := func(n *Node) *Node {
				nodes.Add(1)
				return n.OnRelease(func() { released.Add(1) })
			}
			for range steps {
				switch rng.IntN(7) {
				case 0, 1:
					b := newBuffer(1+rng.IntN(3), "some", "bytes")
					buffers.Store(b, true)
					n, err := mine.Hold(b)
					if err != nil {
						refused.Add(1)
						continue
					}
					held.Add(1)
					own = append(own, track(n.OnFree(func() { freed.Add(1) })))
				case 2:
					if len(own) > 0 {
						track(own[rng.IntN(len(own))].Clone())
					}
				case 3: // away with one, and everything below it
					if len(own) > 0 {
						i := rng.IntN(len(own))
						piece, err := own[i].Split(1, 5)
						if err != nil {
							t.Error(err)
						}
						if pool.Adopt(track(piece)) != nil {
							refused.Add(1)
						}
						if rng.IntN(2) == 0 && pool.Adopt(own[i]) == nil {
							own = slices.Delete(own, i, i+1)
						}
					}
				case 4: // what the others gave
					box := mine.Owner("stolen", 0)
					if box.Steal(pool) != nil {
						refused.Add(1)
					}
					box.Release()
				case 5:
					if len(own) > 0 {
						i := rng.IntN(len(own))
						own[i].Release()
						own = slices.Delete(own, i, i+1)
					}
				case 6:
					mine.Tick()
					if e := mine.Entry(); e.Frames > 100 {
						t.Errorf("%d frames below a limit of 100", e.Frames)
					}
					Report()
				}
			}
			mine.Release()
		})
	}
	all.Wait()
	pool.Release()
	if held.Load() != freed.Load() || nodes.Load() != released.Load() || held.Load() < steps/4 {
		t.Errorf("%d held, %d freed; %d nodes, %d released", held.Load(), freed.Load(), nodes.Load(), released.Load())
	}
	buffers.Range(func(b, _ any) bool {
		if n := b.(*buffer).refs.Load(); n != 1 {
			t.Errorf("a buffer has %d references, want the test's", n)
		}
		return true
	})
	t.Logf("%d held, %d nodes, %d refused", held.Load(), nodes.Load(), refused.Load())
}
