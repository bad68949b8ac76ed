package own

import (
	"fmt"
	"strings"
)

// MisuseError is a programmer's error in the use of a node: panicked with.
type MisuseError struct {
	Node string // from its root on, with slashes; as it was when it was alive
	What string // what was done, and why it can't be
}

func (e *MisuseError) Error() string { return fmt.Sprintf("own: %s %s", e.Node, e.What) }

// alive panics if n was released; what says what was to be done with it.
func (n *Node) alive(what string) {
	by := n.gone.Load()
	switch {
	case by == nil:
		return
	case by == n && what == "released":
		panic(&MisuseError{n.label(), "is released twice"})
	case by == n:
		panic(&MisuseError{n.label(), "is " + what + " after its release"})
	}
	panic(&MisuseError{n.label(), fmt.Sprintf("is %s after it went with %s, which was above it", what, by.label())})
}

func (n *Node) mustHaveBytes(what string) {
	if n.data == nil {
		panic(&MisuseError{n.label(), "is " + what + ": it is an owner, it has no bytes"})
	}
}

// mustNotBeBelow panics where adopting top would make a ring.
func (n *Node) mustNotBeBelow(top *Node) {
	for at := n; at != nil; at = at.parent {
		if at == top {
			panic(&MisuseError{n.path(), fmt.Sprintf("is to get %s, which is above it or itself", top.path())})
		}
	}
}

// label is the node's own name.
func (n *Node) label() string {
	switch {
	case n.name != "":
		return n.name
	case n.data == nil:
		return "an owner without a name"
	}
	return fmt.Sprintf("a packet's %d bytes", n.hi-n.lo)
}

// path is the labels from the root to n.
func (n *Node) path() string {
	var parts []string
	for at := n; at != nil; at = at.parent {
		parts = append([]string{at.label()}, parts...)
	}
	return strings.Join(parts, "/")
}
