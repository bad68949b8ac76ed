package match

import "strings"

// Expr is a parsed expression. The nil *Expr matches every packet. It is not changed once made, so it may be used from
// several goroutines.
type Expr struct {
	op   op
	kids []*Expr // one for not, two or more for and and or
	term term    // of a leaf
}

type op uint8

const (
	leaf op = iota
	not
	and
	or
)

func (o op) String() string { return [...]string{"", "not", "and", "or"}[o] }

// join makes an and or an or of two expressions, flat where one of them is of the kind already.
func join(o op, a, b *Expr) *Expr {
	e := &Expr{op: o}
	for _, k := range []*Expr{a, b} {
		if k.op == o {
			e.kids = append(e.kids, k.kids...)
		} else {
			e.kids = append(e.kids, k)
		}
	}
	return e
}

// negate makes a not, or takes one away.
func negate(e *Expr) *Expr {
	if e.op == not {
		return e.kids[0]
	}
	return &Expr{op: not, kids: []*Expr{e}}
}

// And returns what both match; nil is everything.
func And(a, b *Expr) *Expr {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return join(and, a, b)
}

// Not returns what e does not match. There is no expression for nothing: Not(nil) panics.
func Not(e *Expr) *Expr {
	if e == nil {
		panic("match: the negation of everything")
	}
	return negate(e)
}

// String returns the canonical form: parsed again it gives the same expression. Every term has its keywords, and what is
// inside something else has parentheses.
func (e *Expr) String() string {
	if e == nil {
		return ""
	}
	var b strings.Builder
	e.write(&b)
	return b.String()
}

func (e *Expr) write(b *strings.Builder) {
	switch e.op {
	case leaf:
		b.WriteString(e.term.String())
	case not:
		b.WriteString("not ")
		e.kids[0].writeInside(b)
	default:
		for i, k := range e.kids {
			if i > 0 {
				b.WriteString(" " + e.op.String() + " ")
			}
			k.writeInside(b)
		}
	}
}

func (e *Expr) writeInside(b *strings.Builder) {
	if e.op == leaf || e.op == not {
		e.write(b)
		return
	}
	b.WriteByte('(')
	e.write(b)
	b.WriteByte(')')
}

// Terms is the number of terms: what MaxTerms limits.
func (e *Expr) Terms() int {
	if e == nil {
		return 0
	}
	n := 0
	if e.op == leaf {
		n = 1
	}
	for _, k := range e.kids {
		n += k.Terms()
	}
	return n
}
