package progress

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// When says whether progress is shown. It is a flag's value, of package flag and of pflag.
type When string

// The values of When.
const (
	Auto When = "auto" // on a terminal, once a run has lasted for Patience
	On   When = "on"   // from the start; where it is no terminal, a line every Pause
	Off  When = "off"
)

// Help is the flag's text.
const Help = "show progress on stderr: auto (on a terminal, after 2 s), on (elsewhere too: a line every 10 s) or off"

func (w *When) String() string { return string(*w) }

// Type is the name of the value in a command's help.
func (w *When) Type() string { return "when" }

// IsBoolFlag lets package flag take the flag without a value, which means on.
func (w *When) IsBoolFlag() bool { return true }

// Set takes one of the values.
func (w *When) Set(s string) error {
	switch When(s) {
	case Auto, On, Off:
		*w = When(s)
	case "true": // what package flag says for a flag without a value
		*w = On
	default:
		return fmt.Errorf("%q: want auto, on or off", s)
	}
	return nil
}

// Terminal returns the terminal that w is, nil if it is none or can't clear a line.
func Terminal(w io.Writer) *os.File {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return f
}
