package stats

import (
	"math"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTheTableIsTheGoldenOne(t *testing.T) {
	_, to := snapshots()
	whole := NewReport("summary", "b0", Mode{}, t0, Snapshot{At: t0}, to)
	got := strings.Join(sample().Table(whole, []float64{0, 1, 5, 3.5e6, 1.7e6, 2e6, 7e6, 1.5e6}, Sparks, 79), "\n") + "\n"
	const path = "testdata/table.txt"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("(-update writes it anew)\n%s\nwant:\n%s", got, want)
	}
}

func TestNoLineOfTheTableIsWiderThanTheTerminal(t *testing.T) {
	_, to := snapshots()
	to.Queues[0].Packets, to.Queues[0].Drops = math.MaxUint64, map[string]uint64{strings.Repeat("ü", 300): math.MaxUint64}
	r := NewReport("interval", strings.Repeat("ü", 15), Mode{Attach: "native", Bind: "zerocopy", Reason: ""}, t0, Snapshot{At: t0}, to)
	for width := range 300 {
		for _, history := range [][]float64{nil, {0}, {0, 0, 0}, make([]float64, 1000)} {
			for _, l := range r.Table(r, history, Sparks, width) {
				if n := utf8.RuneCountInString(l); n > width || !utf8.ValidString(l) {
					t.Fatalf("width %d: %d columns in %q", width, n, l)
				}
			}
		}
	}
}

func TestASparklineShowsTheLastValuesAgainstTheHighest(t *testing.T) {
	for _, c := range []struct {
		values []float64
		width  int
		want   string
	}{
		{nil, 10, ""},
		{[]float64{1, 2}, 0, ""},
		{[]float64{1, 2}, -3, ""},
		{[]float64{0, 0}, 9, "▁▁"},
		{[]float64{0, 1, 2, 3, 4, 5, 6, 7, 8}, 99, "▁▂▃▄▅▆▇██"},
		{[]float64{100, 1, 2}, 2, "▅█"}, // what no longer shows does not count
		{[]float64{5e-324, 1e300}, 9, "▁█"},
	} {
		if got := Sparkline(c.values, Sparks, c.width); got != c.want {
			t.Errorf("%v in %d: %q, want %q", c.values, c.width, got, c.want)
		}
	}
	if got := Sparkline([]float64{0, 8, 1}, PlainSparks, 3); got != "_@." {
		t.Errorf("plain: %q", got)
	}
}
