package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"xrx/stats"
)

// display is a terminal on which a table is drawn again and again in the same place. What was written before it stays,
// and nothing of the terminal is changed that a killed process would leave changed.
type display struct {
	out    io.Writer
	size   func() (width, height int, err error)
	sparks string
	drawn  []string
}

// displayOn returns the terminal that w is, nil if it is none, or one that can't move its cursor.
func displayOn(w io.Writer, getenv func(string) string) *display {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || getenv("TERM") == "dumb" {
		return nil
	}
	s := &display{out: f, size: func() (int, int, error) { return term.GetSize(int(f.Fd())) }, sparks: stats.PlainSparks}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} { // the first that is set decides: locale(7)
		if v := strings.ToUpper(getenv(name)); v != "" {
			if strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8") {
				s.sparks = stats.Sparks
			}
			break
		}
	}
	return s
}

// room returns the columns and lines to draw in. The last column and line stay free: a terminal that fills them scrolls.
func (s *display) room() (columns, lines int) {
	width, height, err := s.size()
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	return max(width-1, 1), max(height-1, 1)
}

// draw replaces the table. Lines that are too many are left out.
func (s *display) draw(lines []string) {
	columns, most := s.room()
	lines = lines[:min(len(lines), most)]
	var b strings.Builder
	if up := s.rows(columns + 1); up > 0 {
		fmt.Fprintf(&b, "\r\x1b[%dA", min(up, most))
	}
	for _, l := range lines {
		b.WriteString(l + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	io.WriteString(s.out, b.String()) // at once, so that no half of it shows
	s.drawn = lines
}

// rows returns how many rows the table takes that stands there: a terminal that became narrower has wrapped it.
func (s *display) rows(width int) (n int) {
	for _, l := range s.drawn {
		n += max(1, (utf8.RuneCountInString(l)+width-1)/width)
	}
	return n
}
