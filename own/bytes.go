package own

import (
	"fmt"
	"iter"
)

// Clone returns a node below n with the same bytes. It costs no frame.
func (n *Node) Clone() *Node {
	mu.Lock()
	defer mu.Unlock()
	n.alive("cloned")
	n.mustHaveBytes("cloned")
	return n.piece(n.lo, n.hi)
}

// Split returns a node below n with bytes from (included) to to (excluded) of n's: shared, not copied. All of n's frames
// stay while it does. An error says that n has no such bytes.
func (n *Node) Split(from, to int) (*Node, error) {
	mu.Lock()
	defer mu.Unlock()
	n.alive("split")
	n.mustHaveBytes("split")
	if from < 0 || to < from || to > n.hi-n.lo {
		return nil, fmt.Errorf("own: %s: bytes %d to %d of %d: want 0 <= from <= to <= %d", n.path(), from, to, n.hi-n.lo, n.hi-n.lo)
	}
	return n.piece(n.lo+from, n.lo+to), nil
}

// piece adds a node that shares n's bytes. Whatever is above n has them already, so no limit can be in the way.
func (n *Node) piece(lo, hi int) *Node {
	child := &Node{data: n.data, lo: lo, hi: hi}
	n.data.nodes++
	n.charge([]holding{{n.data, 1}})
	n.append(child)
	return child
}

// Len returns how many bytes the node has; 0 for an owner.
func (n *Node) Len() int {
	n.alive("measured")
	return n.hi - n.lo
}

// Segments yields the node's bytes in order, as they lie in memory. They are valid until the node is released.
func (n *Node) Segments() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		n.alive("read")
		n.mustHaveBytes("read")
		lo, hi := n.lo, n.hi
		for b := range n.data.ref.Segments() {
			if from, to := min(lo, len(b)), min(hi, len(b)); from < to && !yield(b[from:to:to]) {
				return
			}
			lo, hi = max(0, lo-len(b)), hi-len(b)
			if hi <= 0 {
				return
			}
		}
	}
}

// Bytes appends a copy of the node's bytes to dst.
func (n *Node) Bytes(dst []byte) []byte {
	for b := range n.Segments() {
		dst = append(dst, b...)
	}
	return dst
}

// Ref returns what was taken: valid until the node is released.
func (n *Node) Ref() Ref {
	n.alive("read")
	n.mustHaveBytes("read")
	return n.data.ref
}
