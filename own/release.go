package own

// Release ends n and everything below it. Bytes that no other node shares are given back, on this goroutine, after
// their destructors. A node that somebody else may release with what is above it is not the caller's to release: who
// wants to decide adopts it first.
func (n *Node) Release() {
	finish(n.detach())
}

// detach takes n and all below it out of its tree, and returns what there is to be done for that, in order.
func (n *Node) detach() (steps []func()) {
	mu.Lock()
	defer mu.Unlock()
	n.alive("released")
	if n.parent != nil {
		n.parent.uncharge(n.holdings())
	}
	n.unlink()
	var free []*share
	n.each(func(c *Node) {
		c.gone.Store(n)
		steps = append(steps, c.destructors...)
		c.destructors, c.holds = nil, nil
		if c.data != nil {
			if c.data.nodes--; c.data.nodes == 0 {
				free = append(free, c.data)
			}
		}
	})
	for _, s := range free {
		steps = append(append(steps, s.destructors...), s.ref.Release)
	}
	return steps
}

// finish does them without the lock: all of them, also where a destructor panics, which goes on when that is done.
func finish(steps []func()) {
	done := 0
	defer func() {
		if done < len(steps) {
			finish(steps[done:])
		}
	}()
	for done < len(steps) {
		done++
		steps[done-1]()
	}
}

// OnRelease adds a destructor of the node: it runs once, when the node is released, on the goroutine that did it, and may
// use other nodes. What is below a node goes before it does.
func (n *Node) OnRelease(f func()) *Node {
	mu.Lock()
	defer mu.Unlock()
	n.alive("given a destructor")
	n.destructors = append(n.destructors, f)
	return n
}

// OnFree adds a destructor of the bytes: it runs once, when the last node that shares them goes, on the goroutine that
// released that one, and before the reference is given back.
func (n *Node) OnFree(f func()) *Node {
	mu.Lock()
	defer mu.Unlock()
	n.alive("given a destructor")
	n.mustHaveBytes("given a destructor of bytes")
	n.data.destructors = append(n.data.destructors, f)
	return n
}
