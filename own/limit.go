package own

import "fmt"

// LimitError says that a packet, or what was to be moved, has more frames than an owner may still hold.
type LimitError struct {
	Owner       string // from its root on, with slashes
	Limit, Used int    // frames
	More        int    // frames that were to come
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("own: %s holds %d of at most %d frames: no room for %d more", e.Owner, e.Used, e.Limit, e.More)
}

// holding is a share, and by how many nodes it is held.
type holding struct {
	s     *share
	nodes int
}

// holdings are those of n and everything below, each share once.
func (n *Node) holdings() (list []holding) {
	n.each(func(c *Node) {
		if c.data != nil {
			list = append(list, holding{c.data, 1})
		}
	})
	return merged(list)
}

// merged has each share once.
func merged(list []holding) []holding {
	if len(list) < 2 {
		return list
	}
	at := make(map[*share]int, len(list))
	out := list[:0]
	for _, h := range list {
		if i, ok := at[h.s]; ok {
			out[i].nodes += h.nodes
			continue
		}
		at[h.s] = len(out)
		out = append(out, h)
	}
	return out
}

// fits says whether n, and everything above it, may hold these too.
func (n *Node) fits(list []holding) error {
	for ; n != nil; n = n.parent {
		if n.limit == 0 {
			continue
		}
		more := 0
		for _, h := range list {
			if n.holds[h.s] == 0 {
				more += h.s.frames
			}
		}
		if more > 0 && n.used+more > n.limit {
			return &LimitError{n.path(), n.limit, n.used, more}
		}
	}
	return nil
}

// charge counts them for n and everything above it.
func (n *Node) charge(list []holding) {
	for ; n != nil; n = n.parent {
		if n.limit == 0 {
			continue
		}
		for _, h := range list {
			if n.holds[h.s] == 0 {
				n.used += h.s.frames
			}
			n.holds[h.s] += h.nodes
		}
	}
}

func (n *Node) uncharge(list []holding) {
	for ; n != nil; n = n.parent {
		if n.limit == 0 {
			continue
		}
		for _, h := range list {
			if n.holds[h.s] -= h.nodes; n.holds[h.s] == 0 {
				delete(n.holds, h.s)
				n.used -= h.s.frames
			}
		}
	}
}
