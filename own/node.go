package own

import (
	"iter"
	"sync"
	"sync/atomic"
)

// Ref is what can be held: an xrx.Packet, or anything that is like it.
type Ref interface {
	Retain()                    // one more reference
	Release()                   // one less, on any goroutine
	Frames() int                // how much of the pool it keeps
	Len() int                   // bytes
	Segments() iter.Seq[[]byte] // the bytes, in order
}

// Node is an owner, a packet, or a piece of a packet.
type Node struct {
	name   string
	data   *share // nil: an owner
	lo, hi int    // the part of data's bytes

	// All below is guarded by mu.
	parent      *Node
	first, last *Node // children, in the order that they came
	prev, next  *Node // siblings
	since       int64 // unix ns when it came, 0 if nobody ticked
	now         int64 // of a root: the time of the last Tick
	limit       int   // most frames below, 0: any number
	used        int   // frames below, each share once; only kept where there is a limit
	holds       map[*share]int
	destructors []func()

	gone atomic.Pointer[Node] // nil while alive; else what was released: this node, or one above it
}

// share is bytes that nodes hold together, with one reference.
type share struct {
	ref         Ref
	frames      int
	nodes       int // that hold it
	destructors []func()
}

var (
	mu    sync.Mutex // all trees: nodes move between them
	roots []*Node
)

// New returns a root. frames limits what may be below it, 0 is any number. It is in Report until it is released, or
// adopted by another.
func New(name string, frames int) *Node {
	n := &Node{name: name}
	n.setLimit(frames)
	mu.Lock()
	defer mu.Unlock()
	roots = append(roots, n)
	return n
}

// Owner returns a new owner below n.
func (n *Node) Owner(name string, frames int) *Node {
	child := &Node{name: name}
	child.setLimit(frames)
	mu.Lock()
	defer mu.Unlock()
	n.alive("given an owner")
	n.append(child)
	return child
}

func (n *Node) setLimit(frames int) {
	if n.limit = max(0, frames); n.limit > 0 {
		n.holds = map[*share]int{}
	}
}

// Hold takes a reference to r and puts it below n. On error (*LimitError) it has not been taken.
func (n *Node) Hold(r Ref) (*Node, error) {
	r.Retain()
	child, err := n.Take(r)
	if err != nil {
		r.Release()
	}
	return child, err
}

// Take puts a reference that the caller has below n, whose it is then. On error (*LimitError) it is still the caller's.
func (n *Node) Take(r Ref) (*Node, error) {
	s := &share{ref: r, frames: r.Frames(), nodes: 1}
	child := &Node{data: s, hi: r.Len()}
	mu.Lock()
	defer mu.Unlock()
	n.alive("given a packet")
	one := []holding{{s, 1}}
	if err := n.fits(one); err != nil {
		return nil, err
	}
	n.charge(one)
	n.append(child)
	return child, nil
}

// Named gives the node a name: reports list what has one, and sum up what has none.
func (n *Node) Named(name string) *Node {
	mu.Lock()
	defer mu.Unlock()
	n.alive("named")
	n.name = name
	return n
}

// append makes child n's last one, as of the time of the last Tick.
func (n *Node) append(child *Node) {
	if child.since == 0 {
		child.since = n.root().now
	}
	child.parent, child.prev, child.next = n, n.last, nil
	if n.last == nil {
		n.first = child
	} else {
		n.last.next = child
	}
	n.last = child
}

// unlink takes n away from what is above it.
func (n *Node) unlink() {
	p := n.parent
	if p == nil {
		for i, r := range roots {
			if r == n {
				roots = append(roots[:i], roots[i+1:]...)
				break
			}
		}
		return
	}
	if n.prev == nil {
		p.first = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		p.last = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.parent, n.prev, n.next = nil, nil, nil
}

func (n *Node) root() *Node {
	for n.parent != nil {
		n = n.parent
	}
	return n
}

// each calls f with n and all that is below it, the lowest first.
func (n *Node) each(f func(*Node)) {
	for c := n.first; c != nil; {
		next := c.next
		c.each(f)
		c = next
	}
	f(n)
}
