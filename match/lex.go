package match

import (
	"fmt"
	"strings"
)

// SyntaxError says where an expression stops making sense, and what could have followed there.
type SyntaxError struct {
	At   int    // the byte it begins at, counted from 1
	Near string // what stands there; "" is the end
	Want string // what was expected, or why it can't be
}

func (e *SyntaxError) Error() string {
	near := "the end"
	if e.Near != "" {
		near = fmt.Sprintf("%q", e.Near)
	}
	return fmt.Sprintf("at %d, %s: %s", e.At, near, e.Want)
}

// token is a word, a parenthesis or an operator; the last one's text is "".
type token struct {
	text string
	at   int // offset in bytes
}

// operators that are not words, and the words that they mean.
var operators = []struct{ text, means string }{{"&&", "and"}, {"||", "or"}, {"!", "not"}, {"(", "("}, {")", ")"}}

func lex(s string) (tokens []token, err error) {
next:
	for i := 0; i < len(s); {
		if strings.IndexByte(" \t\r\n", s[i]) >= 0 {
			i++
			continue
		}
		for _, o := range operators {
			if strings.HasPrefix(s[i:], o.text) {
				tokens = append(tokens, token{o.means, i})
				i += len(o.text)
				continue next
			}
		}
		n := strings.IndexFunc(s[i:], func(r rune) bool { return !inWord(r) })
		if n < 0 {
			n = len(s) - i
		}
		if n == 0 {
			r := []rune(s[i:])[0]
			return nil, &SyntaxError{i + 1, string(r), "want a word, a number, an address, a parenthesis, or one of ! && ||"}
		}
		tokens = append(tokens, token{strings.ToLower(s[i : i+n]), i})
		i += n
	}
	return append(tokens, token{"", len(s)}), nil
}

// inWord: letters, digits and what addresses, prefixes and ranges consist of.
func inWord(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".:/-_%", r)
}
