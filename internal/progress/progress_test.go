package progress

import (
	"bytes"
	"flag"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWithoutATerminalALineComesEveryTenSeconds(t *testing.T) {
	for _, c := range []struct {
		name       string
		unit, rate string
		state      func(passed time.Duration) State
		want       string
	}{
		{"of a known whole", "frames", "pps", func(d time.Duration) State {
			return State{"sending", uint64(d.Seconds()) * 2500, d.Seconds() / 40}
		}, "sending: 25000 frames, 2.5 kpps, 25 %, 30s left\nsending: 50000 frames, 2.5 kpps, 50 %, 20s left\nsending: 75000 frames, 2.5 kpps, 75 %, 10s left\n"},
		{"that slows down", "frames", "pps", func(d time.Duration) State {
			return State{"sending", uint64(min(d, 20*time.Second).Seconds()) * 100, -1}
		}, "sending: 1000 frames, 100 pps, 10s\nsending: 2000 frames, 100 pps, 20s\nsending: 2000 frames, 0 pps, 30s\n"},
		{"without a number", "", "", func(d time.Duration) State { return State{"round 1", 0, 0.5} },
			"round 1, 50 %, 10s left\nround 1, 50 %, 20s left\nround 1, 50 %, 30s left\n"},
		{"that hardly began", "packets", "pps", func(d time.Duration) State { return State{"replaying", 1, 0.001} },
			"replaying: 1 packets, 0 pps, 0 %\nreplaying: 1 packets, 0 pps, 0 %\nreplaying: 1 packets, 0 pps, 0 %\n"},
		{"that lasts longer than it should", "", "", func(d time.Duration) State { return State{"round 3", 0, 1.7} },
			"round 3, 100 %, 0s left\nround 3, 100 %, 0s left\nround 3, 100 %, 0s left\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var out bytes.Buffer
				l := Start(Config{When: On, Out: &out, Unit: c.unit, Rate: c.rate, State: func() State { return c.state(time.Since(began)) }})
				time.Sleep(3*Pause + Pause/2)
				l.Stop()
				time.Sleep(2 * Pause) // nothing comes after the end
				if out.String() != c.want {
					t.Errorf("written\n%swant\n%s", out.String(), c.want)
				}
				l.Stop()
			})
		})
	}
}

func TestNothingIsAskedOrWrittenWhereNothingIsToBeShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		for _, when := range []When{Auto, Off, ""} {
			var out bytes.Buffer
			l := Start(Config{When: when, Out: &out, State: func() State { asked.Add(1); return State{} }})
			if l != nil {
				t.Errorf("%q: there is a line without a terminal", when)
			}
			if w := l.Over(io.Discard); w != io.Discard {
				t.Errorf("%q: a writer of its own", when)
			}
			time.Sleep(5 * Pause)
			l.Stop()
			if out.Len() > 0 || asked.Load() > 0 {
				t.Errorf("%q: wrote %q, asked %d times", when, out.String(), asked.Load())
			}
		}
	})
}

func TestTheFlagTakesThreeWordsAndNoneIsOn(t *testing.T) {
	for _, c := range []struct {
		args string
		want When
		err  string
	}{
		{"", Auto, ""}, {"-progress", On, ""}, {"-progress=on", On, ""}, {"-progress=off", Off, ""}, {"-progress=auto", Auto, ""},
		{"-progress=yes", Auto, `"yes": want auto, on or off`},
	} {
		w := Auto
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		fs.Var(&w, "progress", Help)
		err := fs.Parse(strings.Fields(c.args))
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || w != c.want {
			t.Errorf("%s: %s, %v", c.args, w, err)
		}
	}
}
