package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"xrx/stats"
)

const (
	// Patience is for how long a run may last before Auto shows anything.
	Patience = 2 * time.Second
	// Pause lies between two lines where there is no terminal.
	Pause = 10 * time.Second
	// Redraw lies between two drawings on a terminal, where Config.Redraw says nothing else.
	Redraw = 250 * time.Millisecond
	// span is what a rate is taken over on a terminal; elsewhere it is Pause.
	span = time.Second
)

// State is how far a run is.
type State struct {
	What string  // what is being done
	Done uint64  // in Config.Unit, never less than before
	Part float64 // of the whole, 0 to 1; negative where the whole is not known
}

// Config says what is shown, and where.
type Config struct {
	When When      // zero: Off
	Out  io.Writer // standard error
	// Plain writes lines to a terminal too, where something else is written to it all the time; Auto is then Off.
	Plain  bool
	Unit   string        // of Done, like "packets"; "": neither a number nor a rate is shown
	Rate   string        // of Done in a second, like "pps"
	Redraw time.Duration // 0: the constant
	// State is asked for on another goroutine than Start's.
	State func() State
}

// Line shows the progress of one run. Nil is one that shows nothing.
type Line struct {
	cfg      Config
	terminal *os.File // nil: plain lines
	began    time.Time
	quit     chan struct{}
	stop     sync.Once
	done     chan struct{}

	mu    sync.Mutex
	drawn bool      // a line stands there, and the cursor behind it
	from  time.Time // where the rate is taken from, with what was done then
	base  uint64
	rate  float64 // per second; negative: not known yet
}

// Start shows progress from now on, until Stop. It returns nil where nothing is to be shown.
func Start(c Config) *Line {
	l := &Line{cfg: c, began: time.Now(), quit: make(chan struct{}), done: make(chan struct{}), rate: -1}
	if !c.Plain {
		l.terminal = Terminal(c.Out)
	}
	switch {
	case c.When == On:
	case c.When == Auto && l.terminal != nil:
	default:
		return nil
	}
	l.from = l.began
	go l.run()
	return l
}

// Stop takes the line away; it may be called again. The run's own end is told by whoever ran it.
func (l *Line) Stop() {
	if l == nil {
		return
	}
	l.stop.Do(func() { close(l.quit) })
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
}

// Over returns a writer that takes the line away before it writes to w, which may be the same terminal.
func (l *Line) Over(w io.Writer) io.Writer {
	if l == nil || l.terminal == nil {
		return w
	}
	return over{l, w}
}

type over struct {
	l *Line
	w io.Writer
}

func (o over) Write(p []byte) (int, error) {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	o.l.clear()
	return o.w.Write(p)
}

func (l *Line) run() {
	defer close(l.done)
	every := Pause
	if l.terminal != nil {
		if every = l.cfg.Redraw; every <= 0 {
			every = Redraw
		}
		if l.cfg.When == Auto {
			select {
			case <-l.quit:
				return
			case <-time.After(Patience):
			}
		}
		l.show()
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-l.quit:
			return
		case <-t.C:
			l.show()
		}
	}
}

func (l *Line) show() {
	s, now := l.cfg.State(), time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text(s, now)
	if l.terminal == nil {
		fmt.Fprintln(l.cfg.Out, text)
		return
	}
	width, _, err := term.GetSize(int(l.terminal.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	// The last column stays free: a terminal that fills it goes on to the next row, where \r does not come back from.
	if most := max(width-1, 0); utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most])
	}
	fmt.Fprint(l.cfg.Out, "\r"+text+"\x1b[K") // at once, so that no half of it shows
	l.drawn = true
}

func (l *Line) clear() {
	if l.drawn {
		fmt.Fprint(l.cfg.Out, "\r\x1b[K")
		l.drawn = false
	}
}

// text is the line: what, how much, how fast, what part, how much longer.
func (l *Line) text(s State, now time.Time) string {
	var b strings.Builder
	b.WriteString(s.What)
	if l.cfg.Unit != "" {
		if took := now.Sub(l.from); took >= span {
			l.rate = float64(s.Done-l.base) / took.Seconds()
			l.from, l.base = now, s.Done
		}
		fmt.Fprintf(&b, ": %d %s", s.Done, l.cfg.Unit)
		if l.rate >= 0 {
			b.WriteString(", " + stats.SI(l.rate, l.cfg.Rate))
		}
	}
	passed := now.Sub(l.began)
	if s.Part < 0 {
		return b.String() + ", " + short(passed)
	}
	part := min(s.Part, 1)
	fmt.Fprintf(&b, ", %.0f %%", 100*part)
	if part >= 0.01 && passed >= span { // before, it would be a guess
		fmt.Fprintf(&b, ", %s left", short(time.Duration(float64(passed)*(1-part)/part)))
	}
	return b.String()
}

// short is a time in whole seconds.
func short(d time.Duration) string { return d.Round(time.Second).String() }
