package own

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Tick reads the clock for the tree that n is in: what comes into it from now on is as old as this. Called once a batch,
// it makes reports say for how long things are held; without it they don't, and no clock is read.
func (n *Node) Tick() {
	now := time.Now().UnixNano()
	mu.Lock()
	defer mu.Unlock()
	n.alive("ticked")
	n.root().now = now
}

// Entry is a line of a report: a node that has a name, with what is below it. Who adds lines of other things to a report
// says -1 where there is no such number.
type Entry struct {
	Name   string
	Refs   int           // packets and pieces of packets
	Frames int           // that they keep, each once
	Bytes  int           // of those packets, each once
	Limit  int           // frames, 0: none
	Oldest time.Duration // of them; 0: none, or nobody ticked
	Below  []Entry       // nodes with names
}

// Tree returns what every root holds, in the order that they were made.
func Tree() (list []Entry) {
	now := time.Now()
	mu.Lock()
	defer mu.Unlock()
	for _, r := range roots {
		e, _ := r.entry(now)
		list = append(list, e)
	}
	return list
}

// Entry returns what n holds.
func (n *Node) Entry() Entry {
	now := time.Now()
	mu.Lock()
	defer mu.Unlock()
	n.alive("reported")
	e, _ := n.entry(now)
	return e
}

// entry also returns the shares in it, so that what is above counts each of them once.
func (n *Node) entry(now time.Time) (Entry, map[*share]bool) {
	e := Entry{Name: n.label(), Limit: n.limit}
	held := map[*share]bool{}
	var walk func(*Node)
	walk = func(c *Node) {
		if c.data != nil {
			e.Refs++
			held[c.data] = true
			if c.since > 0 {
				e.Oldest = max(e.Oldest, now.Sub(time.Unix(0, c.since)))
			}
		}
		for k := c.first; k != nil; k = k.next {
			if k.name == "" {
				walk(k)
				continue
			}
			sub, shares := k.entry(now)
			e.Refs += sub.Refs
			e.Oldest = max(e.Oldest, sub.Oldest)
			for s := range shares {
				held[s] = true
			}
			e.Below = append(e.Below, sub)
		}
	}
	walk(n)
	for s := range held {
		e.Frames += s.frames
		e.Bytes += s.ref.Len()
	}
	return e, held
}

// Report is Tree as text: who holds what, how much of it, for how long.
func Report() string { return Format(Tree()) }

// Report is what n holds, as text.
func (n *Node) Report() string { return Format([]Entry{n.Entry()}) }

func number(n int) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// Format writes entries as a tree with aligned columns.
func Format(list []Entry) string {
	var rows [][]string
	var add func(e Entry, first, rest string)
	add = func(e Entry, first, rest string) {
		limit, oldest := "-", "-"
		if e.Limit > 0 {
			limit = fmt.Sprint(e.Limit)
		}
		if e.Oldest > 0 {
			oldest = e.Oldest.Round(time.Millisecond).String()
		}
		rows = append(rows, []string{first + e.Name, number(e.Refs), number(e.Frames), limit, number(e.Bytes), oldest})
		for i, sub := range e.Below {
			if i+1 < len(e.Below) {
				add(sub, rest+"├─ ", rest+"│  ")
			} else {
				add(sub, rest+"└─ ", rest+"   ")
			}
		}
	}
	rows = append(rows, []string{"holder", "packets", "frames", "limit", "bytes", "oldest"})
	for _, e := range list {
		add(e, "", "")
	}
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		for i, cell := range r {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				b.WriteString(cell + pad)
			} else {
				b.WriteString("  " + pad + cell)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
