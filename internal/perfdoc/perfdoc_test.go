package perfdoc

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheDocumentsTablesAreWhatTheFilesSay(t *testing.T) {
	doc, err := os.ReadFile("../../docs/PERFORMANCE.md")
	if err != nil {
		t.Fatal(err)
	}
	made, err := Render(doc, "../../docs/bench")
	if err != nil {
		t.Fatal(err)
	}
	if string(made) != string(doc) {
		was, is := strings.Split(string(doc), "\n"), strings.Split(string(made), "\n")
		for i := range min(len(was), len(is)) {
			if was[i] != is[i] {
				t.Fatalf("docs/PERFORMANCE.md, line %d, says\n%s\nby docs/bench it is\n%s\nmake tables writes it anew", i+1, was[i], is[i])
			}
		}
		t.Fatal("docs/PERFORMANCE.md has other tables than docs/bench: make tables writes them anew")
	}
}

// Figures outside the generated tables would not be held to any file.
func TestTheDocumentHasNoTableOfItsOwn(t *testing.T) {
	doc, err := os.ReadFile("../../docs/PERFORMANCE.md")
	if err != nil {
		t.Fatal(err)
	}
	rest := place.ReplaceAll(doc, nil)
	for i, line := range strings.Split(string(rest), "\n") {
		if strings.HasPrefix(line, "|") && strings.ContainsAny(line, "0123456789") && !strings.HasPrefix(line, "| `") {
			t.Errorf("a table with figures that is not made from a file (line %d without the others): %s", i+1, line)
		}
	}
}

const rxFile = `{"machine":{"date":"2026-01-02T03:04:05Z","commit":"abc","cpu":"Z80","cpus":2,"kernel":"6.18","go":"go1.26"},"rounds":3,"sample_s":1,
"loads":[{"name":"udp64","engine":"live","proto":"udp","size":64,"flows":64,"burst":1}],
"cells":[{"receiver":"C libxdp, poll","load":"udp64","kpps":7000.4,"kpps_spread":12.3,"loss_percent":0.5,"cpu_ns_per_packet":20.25,"cpu_percent":14,"batch":64,"samples":[{"syscalls_counted":true,"sent":1000,"received":995,"seconds":1,"cpu_s":20.15e-6}]},
{"receiver":"xrx, GRO off","load":"udp64","kpps":7100,"loss_percent":0.25,"cpu_ns_per_packet":%s,"samples":[{"sent":1000,"received":1000,"seconds":1,"cpu_s":%se-6}]},
{"receiver":"xrx, GRO off","load":"xsk64","kpps":940,"cpu_percent":25,"samples":[{"sent":940,"received":940,"seconds":1,"cpu_s":0.25}]},
{"receiver":"xrx, GRO off, busy","load":"xsk64","kpps":1000,"cpu_percent":100,"samples":[{"sent":1000,"received":1000,"seconds":1,"cpu_s":1}]},
{"receiver":"DPDK","load":"udp64","failed":"not\nready","samples":null}],
"trickle":[{"load":"xsk64","adaptive_kpps":940,"busy_kpps":1000,"rate_ratio":0.94,"cpu_ratio":0.25,"pass":false}]}`

func folder(t *testing.T, ns string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rx.json"), []byte(strings.ReplaceAll(rxFile, "%s", ns)), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func render(t *testing.T, doc, dir string) string {
	t.Helper()
	out, err := Render([]byte(doc), dir)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestAFigureFollowsItsFile(t *testing.T) {
	const doc = "before\n<!-- bench: rx udp64 -->\nold\n<!-- end -->\nafter <!-- bench: goals -->\n<!-- end -->"
	first, second := render(t, doc, folder(t, "18.5")), render(t, doc, folder(t, "31.5"))
	for _, want := range []string{"before\n<!--", "-->\nafter", "| 7000 ± 12 | 0.50 | 20.2", "18.5", "failed: not ready", "2026-01-02", "commit abc", "| 1 round | 18.5 ns | 20.3 ns | 0.914 (0.914 to 0.914) | met, not clearly |", "| 0.00 % | 0.50 % | -0.500 (-0.500 to -0.500) | met, not clearly |", "| 0.940 at 0.25 | 0.95 at 0.50 | 0.940 (0.940 to 0.940) | **missed**, not clearly |"} {
		if !strings.Contains(first, want) {
			t.Errorf("not in it: %q\n%s", want, first)
		}
	}
	if strings.Contains(first, "old") || !strings.Contains(second, "| 31.5 ns | 20.3 ns | 1.555 (1.555 to 1.555) | **missed**, not clearly |") {
		t.Errorf("the second:\n%s", second)
	}
	if again := render(t, first, folder(t, "18.5")); again != first {
		t.Error("rendering twice is not rendering once")
	}
}

func TestWhatCanNotBeRenderedIsSaid(t *testing.T) {
	dir := folder(t, "1")
	if out := render(t, "<!-- bench: soak -->\n<!-- end -->", dir); !strings.Contains(out, "make bench") {
		t.Errorf("a missing file: %q", out)
	}
	for _, doc := range []string{"<!-- bench: nothing -->\n<!-- end -->", "<!-- bench: rx -->\n without end"} {
		if _, err := Render([]byte(doc), dir); err == nil {
			t.Errorf("no error for %q", doc)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "soak.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Render([]byte("<!-- bench: soak -->\n<!-- end -->"), dir); err == nil {
		t.Error("no error for a file that is cut off")
	}
}

// Receivers are compared where the two processors were as far apart for both, and round by round: a sample of one placement,
// or of one minute, says nothing about the other.
func TestGoalsCompareRoundsInWhichTheProcessorsWereAlike(t *testing.T) {
	sample := func(round int, ns, crossing float64) string {
		return fmt.Sprintf(`{"round": %d, "sent": 1000, "received": 990, "seconds": 1, "cpu_s": %g, "crossing_ns": %g}`, round, ns*990/1e9, crossing)
	}
	cells := func(c, x []string) string {
		dir := t.TempDir()
		file := fmt.Sprintf(`{"cells": [{"receiver": "C libxdp, poll", "load": "udp64", "samples": [%s]}, {"receiver": "xrx, GRO off", "load": "udp64", "samples": [%s]}]}`,
			strings.Join(c, ","), strings.Join(x, ","))
		if err := os.WriteFile(filepath.Join(dir, "rx.json"), []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
		return render(t, "<!-- bench: goals -->\n<!-- end -->", dir)
	}
	wants := func(out string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("not in it: %q\n%s", want, out)
			}
		}
	}
	// Round 2 failed for xrx, in 3 the processors moved between the two.
	wants(cells([]string{sample(1, 20, 60), sample(2, 500, 60), sample(3, 80, 60), sample(4, 80, 450)}, []string{sample(1, 21, 61), sample(3, 33, 470), sample(4, 32, 440)}),
		"| near, 1 round | 21.0 ns | 20.0 ns | 1.050 (1.050 to 1.050) | **missed**, not clearly |",
		"| far, 1 round | 32.0 ns | 80.0 ns | 0.400 (0.400 to 0.400) | met, not clearly |", "| far, 1 round | 1.00 % | 1.00 % | 0.000 (0.000 to 0.000) | met, not clearly |")
	// A slow half of the rounds is slow for both: the medians of each alone would say 1.1.
	var c, x []string
	for i := range 8 {
		slow := float64(1 + i%2)
		c, x = append(c, sample(i+1, 100*slow, 450)), append(x, sample(i+1, 90*slow+float64(i)/10, 450))
	}
	x[1], x[3] = sample(2, 220, 450), sample(4, 90, 450)
	wants(cells(c, x), "| far, 8 rounds | 90.5 ns | 150.0 ns | 0.903 (0.450 to 1.100) | met, not clearly |")
	x[1] = sample(2, 190, 450)
	wants(cells(c, x), "(0.450 to 0.950) | met |")
	// Files from before rounds were written.
	wants(cells([]string{sample(0, 20, 60), sample(0, 80, 450)}, []string{sample(0, 21, 61), sample(0, 31, 440), sample(0, 33, 470)}),
		"| near, 1 round | 21.0 ns | 20.0 ns |", "| far, 1 round | 31.0 ns | 80.0 ns |")
}

// By the binomial distribution: of n values, at least so many lie below the median and as many above it, but once in twenty.
func TestTheIntervalLeavesOutAsManyValuesAsItMay(t *testing.T) {
	for n, out := range map[int]int{1: 0, 2: 0, 5: 0, 6: 0, 8: 0, 9: 1, 11: 1, 12: 2, 14: 2, 15: 3, 20: 5, 100: 39} {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(n - i)
		}
		if lo, hi := within(v); lo != float64(1+out) || hi != float64(n-out) {
			t.Errorf("of 1..%d: %v to %v, want %d left out at each end", n, lo, hi, out)
		}
	}
}

func TestAnotherMachinesGoalsComeFromItsFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Rename(folder(t, "18.5"), filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	if out := render(t, "<!-- bench: goals other -->\n<!-- end -->", dir); !strings.Contains(out, "[other/rx.json](bench/other/rx.json): Z80") {
		t.Error(out)
	}
}
