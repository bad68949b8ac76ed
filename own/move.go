package own

// Adopt moves child, with all that is below it, from wherever it is to n. On error (*LimitError) nothing has moved.
func (n *Node) Adopt(child *Node) error {
	mu.Lock()
	defer mu.Unlock()
	n.alive("given a child")
	child.alive("adopted")
	n.mustNotBeBelow(child)
	if child.parent == n {
		return nil
	}
	return n.take([]*Node{child})
}

// Steal moves all children of from to n, in their order: all of them, or on error (*LimitError) none.
func (n *Node) Steal(from *Node) error {
	mu.Lock()
	defer mu.Unlock()
	n.alive("given children")
	from.alive("stolen from")
	if n == from {
		return nil
	}
	var children []*Node
	for c := from.first; c != nil; c = c.next {
		n.mustNotBeBelow(c)
		children = append(children, c)
	}
	return n.take(children)
}

// take moves nodes of one parent, or one root.
func (n *Node) take(children []*Node) error {
	if len(children) == 0 {
		return nil
	}
	var all []holding
	for _, c := range children {
		all = append(all, c.holdings()...)
	}
	all = merged(all)
	from := children[0].parent
	from.uncharge(all) // first: what both are below must not be charged twice
	if err := n.fits(all); err != nil {
		from.charge(all) // it was there: it fits
		return err
	}
	n.charge(all)
	for _, c := range children {
		c.unlink()
		n.append(c)
	}
	return nil
}
