package main

import (
	"fmt"
	"io"

	"xrx"
)

// tellEvents writes what happens to the interface: a line each, on stderr, for stdout is the report's.
func tellEvents(stderr io.Writer) func(xrx.Event) {
	return func(e xrx.Event) {
		switch {
		case e.Kind == xrx.LinkDeleted: // the error says so, or that it is waited for
			return
		case e.Warning:
			fmt.Fprintln(stderr, "xrx: warning:", e)
		default:
			fmt.Fprintln(stderr, "xrx:", e)
		}
	}
}
