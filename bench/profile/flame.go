package main

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"html"
	"slices"
	"strings"
)

// node is a function below its callers.
type node struct {
	name  string
	n     int
	below map[string]*node
}

func (n *node) child(name string) *node {
	c := n.below[name]
	if c == nil {
		c = &node{name: name, below: map[string]*node{}}
		n.below[name] = c
	}
	c.n++
	return c
}

// The picture, in its own units.
const (
	flameWide = 1200.0
	rowHigh   = 17
	least     = 0.8 // narrower boxes are left out
)

// flame draws stacks as a flame graph: the width of a box is the share of samples in which the function was on the stack.
// Functions that were inlined have boxes too. A box that is pointed at tells its name and share.
func flame(stacks []stack, title string) []byte {
	root := &node{name: "all", below: map[string]*node{}}
	for _, s := range stacks {
		at := root
		root.n++
		for _, f := range slices.Backward(s) {
			at = at.child(f.label())
			if in := f.inlined(); in != "" {
				at = at.child(in)
			}
		}
	}
	deep := root.depth()
	high := (deep+2)*rowHigh + 12
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %d" font-family="Helvetica,Arial,sans-serif" font-size="11">
<style>text{pointer-events:none} .t{fill:#808080;font-size:14px} rect{stroke:#8084;stroke-width:.5} rect:hover{stroke:#808080;stroke-width:2}</style>
<text class="t" x="6" y="15">%s (%d samples)</text>
`, flameWide, high, html.EscapeString(title), root.n)
	root.draw(&b, 0, flameWide, high-rowHigh-4, root.n)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (n *node) depth() (d int) {
	for _, c := range n.below {
		d = max(d, c.depth())
	}
	return d + 1
}

func (n *node) draw(b *bytes.Buffer, x, wide float64, y, all int) {
	if wide < least {
		return
	}
	h := fnv.New32a()
	h.Write([]byte(n.name))
	hue := 18 + h.Sum32()%38 // red to yellow
	if strings.HasSuffix(n.name, " [k]") {
		hue += 180
	}
	fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="hsl(%d,75%%,66%%)"><title>%s: %.2f %%, %d samples</title></rect>`+"\n",
		x, y, wide, rowHigh-1, hue, html.EscapeString(n.name), 100*float64(n.n)/float64(all), n.n)
	if chars := int(wide / 6.2); chars > 3 {
		s := n.name
		if len(s) > chars {
			s = s[:chars-2] + ".."
		}
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", x+3, y+rowHigh-5, html.EscapeString(s))
	}
	names := make([]string, 0, len(n.below))
	for k := range n.below {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		c := n.below[k]
		w := wide * float64(c.n) / float64(n.n)
		c.draw(b, x, w, y-rowHigh, all)
		x += w
	}
}

// label is the function's name without its path.
func (f frame) label() string {
	name := f.symbol[strings.LastIndex(f.symbol, "/")+1:]
	if f.kernel {
		return name + " [k]"
	}
	return name
}

// inlined is the function that the line is in, if that is another than the linker's; else "".
func (f frame) inlined() string {
	if f.source == "" {
		return ""
	}
	folder, name, _ := strings.Cut(f.source, ":")
	short := name[strings.LastIndex(name, ".")+1:]
	if strings.HasSuffix(f.symbol, "."+short) || strings.Contains(f.symbol, short+".func") {
		return ""
	}
	return folder[strings.LastIndex(folder, "/")+1:] + "." + name
}
