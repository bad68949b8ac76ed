package match

import (
	"fmt"
	"slices"
)

// Limits of an expression. The kernel's verifier takes the largest: a test asks it.
const (
	MaxTerms  = 512     // terms
	MaxDepth  = 64      // parentheses and nots inside each other
	MaxLength = 1 << 16 // bytes of text
)

// Parse reads an expression. An empty one gives nil, which matches every packet; an error is a *SyntaxError.
func Parse(s string) (*Expr, error) {
	if len(s) > MaxLength {
		return nil, &SyntaxError{MaxLength + 1, "...", fmt.Sprintf("an expression has at most %d bytes", MaxLength)}
	}
	tokens, err := lex(s)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	if p.peek().text == "" {
		return nil, nil
	}
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	if p.peek().text != "" {
		return nil, p.fail("want and, or, or the end")
	}
	return e, nil
}

type parser struct {
	tokens []token
	pos    int
	depth  int
	terms  int
	last   *qualifiers // what a value without keywords takes over
}

func (p *parser) peek() token { return p.tokens[p.pos] }

// peekAt looks further ahead; beyond the end it sees the end.
func (p *parser) peekAt(n int) string { return p.tokens[min(p.pos+n, len(p.tokens)-1)].text }

// take goes past the next token if it is one of these words.
func (p *parser) take(words ...string) bool {
	if t := p.peek().text; t == "" || !slices.Contains(words, t) {
		return false
	}
	p.pos++
	return true
}

func (p *parser) fail(want string, args ...any) error { return p.failAt(p.peek(), want, args...) }

func (p *parser) failAt(t token, want string, args ...any) error {
	return &SyntaxError{t.at + 1, t.text, fmt.Sprintf(want, args...)}
}

// expression: and and or bind alike, to the left.
func (p *parser) expression() (*Expr, error) {
	e, err := p.unary()
	for err == nil {
		o := and
		switch {
		case p.take("or"):
			o = or
		case !p.take("and"):
			return e, nil
		}
		var right *Expr
		if right, err = p.unary(); err == nil {
			e = join(o, e, right)
		}
	}
	return nil, err
}

func (p *parser) unary() (*Expr, error) {
	at := p.peek()
	if p.depth++; p.depth > MaxDepth {
		return nil, p.failAt(at, "nested deeper than %d", MaxDepth)
	}
	defer func() { p.depth-- }()
	switch {
	case p.take("not"):
		e, err := p.unary()
		if err != nil {
			return nil, err
		}
		return negate(e), nil
	case p.take("("):
		return p.closing(at)
	}
	if err := p.count(); err != nil {
		return nil, err
	}
	return p.primary()
}

// count counts the term that begins here.
func (p *parser) count() error {
	if p.terms++; p.terms > MaxTerms {
		return p.fail("more than %d terms", MaxTerms)
	}
	return nil
}

// closing reads the rest of what a parenthesis opened.
func (p *parser) closing(opened token) (*Expr, error) {
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	if !p.take(")") {
		return nil, p.fail("want and, or, or ) for the ( at %d", opened.at+1)
	}
	return e, nil
}
