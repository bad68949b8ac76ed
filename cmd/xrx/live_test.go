package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"xrx/internal/testnet"
	"xrx/stats"
)

// vt is as much of a terminal as a display uses: lines, and a cursor that goes up and clears. It wraps, and scrolls.
type vt struct {
	columns, rows int
	lines         [][]rune // all that was ever written; the last rows of them show
	row, column   int
}

func (v *vt) Write(p []byte) (int, error) {
	for s := string(p); s != ""; {
		var n int
		switch {
		case strings.HasPrefix(s, "\x1b[K"):
			v.line()
			v.lines[v.row] = v.lines[v.row][:min(v.column, len(v.lines[v.row]))]
			s = s[3:]
		case strings.HasPrefix(s, "\x1b[J"):
			v.line()
			v.lines[v.row] = v.lines[v.row][:min(v.column, len(v.lines[v.row]))]
			v.lines = v.lines[:v.row+1]
			s = s[3:]
		case strings.HasPrefix(s, "\x1b["):
			if _, err := fmt.Sscanf(s, "\x1b[%dA", &n); err != nil {
				return 0, fmt.Errorf("unknown sequence %q", s[:min(len(s), 8)])
			}
			v.row = max(v.row-n, len(v.lines)-v.rows, 0)
			s = s[strings.IndexByte(s, 'A')+1:]
		default:
			r, size := utf8.DecodeRuneInString(s)
			v.put(r)
			s = s[size:]
		}
	}
	return len(p), nil
}

func (v *vt) line() {
	for len(v.lines) <= v.row {
		v.lines = append(v.lines, nil)
	}
}

func (v *vt) put(r rune) {
	v.line()
	switch r {
	case '\n':
		v.row, v.column = v.row+1, 0
		v.line()
	case '\r':
		v.column = 0
	default:
		if v.column == v.columns {
			v.row, v.column = v.row+1, 0
			v.line()
		}
		l := v.lines[v.row]
		for len(l) <= v.column {
			l = append(l, ' ')
		}
		l[v.column] = r
		v.lines[v.row] = l
		v.column++
	}
}

// resize makes the terminal narrower, as terminals do that wrap what stands there anew.
func (v *vt) resize(columns int) {
	var lines [][]rune
	for i, l := range v.lines {
		if i == v.row {
			v.row = len(lines)
		}
		for len(l) > columns {
			lines, l = append(lines, l[:columns:columns]), l[columns:]
		}
		lines = append(lines, l)
	}
	v.lines, v.columns = lines, columns
}

func (v *vt) String() string {
	var b strings.Builder
	for _, l := range v.lines {
		b.WriteString(strings.TrimRight(string(l), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

func TestATableIsDrawnAnewInItsPlace(t *testing.T) {
	for _, c := range []struct {
		name          string
		columns, rows int
		then          func(*vt)
		want          string
	}{
		{"as it is", 40, 24, nil, "before\nthree\nfour and more"},
		{"in a terminal that became narrower", 40, 24, func(v *vt) { v.resize(9) }, "before\nthree\nfour and more"},
		{"in a terminal that became wider", 12, 24, func(v *vt) { v.resize(200) }, "before\nthree\nfour and more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := &vt{columns: c.columns, rows: c.rows}
			d := &display{out: v, size: func() (int, int, error) { return v.columns, v.rows, nil }}
			fmt.Fprintln(v, "before")
			d.draw([]string{"first line", "second", "third line of the table"}[:2])
			d.draw(clipped(d, "one and a half", "two", "three"))
			if c.then != nil {
				c.then(v)
			}
			d.draw(clipped(d, "three", "four and more"))
			var want []string
			for i, l := range strings.Split(c.want, "\n") {
				if i >= strings.Count(c.want, "\n")-1 { // the table's two lines
					l = clipped(d, l)[0]
				}
				want = append(want, l)
			}
			if got := v.String(); got != strings.Join(want, "\n") {
				t.Errorf("it shows\n%s\nwant\n%s", got, strings.Join(want, "\n"))
			}
		})
	}
}

// clipped cuts lines as Table does.
func clipped(d *display, lines ...string) []string {
	columns, _ := d.room()
	for i, l := range lines {
		lines[i] = l[:min(len(l), columns)]
	}
	return lines
}

func TestATableThatIsTooHighIsCutAndLeavesNoTrace(t *testing.T) {
	v := &vt{columns: 40, rows: 4}
	d := &display{out: v, size: func() (int, int, error) { return v.columns, v.rows, nil }}
	for i := range 5 {
		d.draw([]string{fmt.Sprint("a", i), "b", "c", "d", "e", "f"})
	}
	if got := v.String(); got != "a4\nb\nc" {
		t.Errorf("it shows\n%s", got)
	}
}

func TestATerminalOfUnknownSizeIsTakenForAnOrdinaryOne(t *testing.T) {
	for _, size := range []func() (int, int, error){
		func() (int, int, error) { return 0, 0, nil },
		func() (int, int, error) { return 0, 0, errors.New("unknown") },
	} {
		if c, l := (&display{size: size}).room(); c != 79 || l != 23 {
			t.Errorf("%d columns, %d lines", c, l)
		}
	}
	if c, l := (&display{size: func() (int, int, error) { return 1, 1, nil }}).room(); c != 1 || l != 1 {
		t.Errorf("of the smallest terminal %d columns, %d lines", c, l)
	}
}

// pty opens a pseudo terminal: what is written to the slave, the master reads.
func pty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs pseudo terminals: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Skipf("needs pseudo terminals: %v", err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 60, Row: 20}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func TestADisplayIsATerminalThatCanMoveItsCursor(t *testing.T) {
	_, slave := pty(t)
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, c := range []struct {
		name, env string
		out       io.Writer
		sparks    string // "": no display
	}{
		{"a terminal", "", slave, stats.PlainSparks},
		{"with UTF-8", "LANG=de_DE.UTF-8", slave, stats.Sparks},
		{"with utf8", "LC_CTYPE=C.utf8 LANG=C", slave, stats.Sparks},
		{"overruled", "LC_ALL=C LANG=de_DE.UTF-8", slave, stats.PlainSparks},
		{"a dumb one", "TERM=dumb", slave, ""},
		{"a file", "TERM=xterm", file, ""},
		{"no file at all", "TERM=xterm", new(strings.Builder), ""},
	} {
		getenv := func(name string) string {
			for _, v := range strings.Fields(c.env) {
				if value, ok := strings.CutPrefix(v, name+"="); ok {
					return value
				}
			}
			return ""
		}
		switch d := displayOn(c.out, getenv); {
		case (d == nil) != (c.sparks == ""):
			t.Errorf("%s: a display: %v", c.name, d != nil)
		case d != nil && d.sparks != c.sparks:
			t.Errorf("%s: sparks %q", c.name, d.sparks)
		case d != nil:
			if columns, lines := d.room(); columns != 59 || lines != 19 {
				t.Errorf("%s: %d columns, %d lines", c.name, columns, lines)
			}
		}
	}
}

func TestRunDrawsATableOnATerminalAndTheSummaryBelow(t *testing.T) {
	testnet.Require(t, "root", "veth")
	t.Setenv("TERM", "xterm")
	t.Setenv("LC_ALL", "C.UTF-8")
	n := testnet.New(t, testnet.Options{Queues: 2})
	master, slave := pty(t)
	var seen transcript
	var reader sync.WaitGroup
	reader.Go(func() { io.Copy(&seen, master) }) // until the slave is closed
	cmd := command("run", n.B.Iface, "--interval", "20ms")
	cmd.Stdout = slave
	var complaint strings.Builder
	cmd.Stderr = &complaint
	n.InB(func() {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	})
	defer cmd.Process.Kill()
	s, list := n.Sender(), traffic(n, 8, 4)
	seen.await(t, "a table with packets was drawn anew three times", func(text string) bool {
		s.Send(list...)
		return strings.Count(text, "\x1b[9A") >= 3 && strings.Contains(text, "█")
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || complaint.Len() > 0 {
		t.Errorf("ended with %v, stderr %q", err, complaint.String())
	}
	slave.Close()
	reader.Wait()
	v := &vt{columns: 60, rows: 20}
	if _, err := v.Write([]byte(seen.String())); err != nil {
		t.Fatal(err)
	}
	shown := v.String()
	for what, want := range map[string]int{"receiving on b0": 1, "\nqueue ": 3, "ns/pkt": 1, "\nframes  ": 2, "\ninterface  ": 1, "lost 0": 2} { // the table once, the summary once
		if got := strings.Count(shown, what); got != want {
			t.Errorf("%q is there %d times, want %d, in\n%s", what, got, want, shown)
		}
	}
}
