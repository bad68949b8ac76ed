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
"cells":[{"receiver":"C libxdp, poll","load":"udp64","kpps":7000.4,"kpps_spread":12.3,"loss_percent":0.5,"cpu_ns_per_packet":20.25,"cpu_percent":14,"batch":64,"samples":[{"syscalls_counted":true}]},
{"receiver":"xrx, GRO off","load":"udp64","kpps":7100,"loss_percent":0.25,"cpu_ns_per_packet":%s,"samples":[{}]},
{"receiver":"DPDK","load":"udp64","failed":"not\nready","samples":null}]}`

// folder has an rx.json with a figure in it.
func folder(t *testing.T, ns string) string {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "rx.json", strings.ReplaceAll(rxFile, "%s", ns))
	return dir
}

func put(t *testing.T, dir, file, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func render(t *testing.T, doc, dir string) string {
	t.Helper()
	out, err := Render([]byte(doc), dir)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func wants(t *testing.T, out string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("not in it: %q\n%s", want, out)
		}
	}
}

func TestAFigureFollowsItsFile(t *testing.T) {
	const doc = "before\n<!-- bench: rx udp64 -->\nold\n<!-- end -->\nafter"
	first, second := render(t, doc, folder(t, "18.5")), render(t, doc, folder(t, "31.5"))
	wants(t, first, "before\n<!--", "-->\nafter", "| 7000 ± 12 | 0.50 | 20.2", "18.5", "failed: not ready", "2026-01-02", "commit abc", "](bench/rx.json)")
	if wants(t, second, "31.5"); strings.Contains(first, "old") || strings.Contains(second, "18.5") {
		t.Errorf("the first:\n%s\nthe second:\n%s", first, second)
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

// A slow sitting is slow for all that sit: it is ratios within a turn that are compared, then those of the sittings.
func TestGoalsCompareWhatWasMeasuredTogether(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "gro.json", `{"engines":[{"engine":"xrx, verified","traces":{"T1":{"median_ns":50}}}]}`)
	one := func(receiver, load string, received, ns, cpu float64) string {
		return fmt.Sprintf(`{"receiver":%q,"sent":1000,"received":%g,"loads":{%q:{"source_ns_per_frame":[%g,%g],"cpu_ns_per_frame":[%g,%g]}}}`,
			receiver, received, load, ns, 3*ns, cpu, 3*cpu) // the second turn finds the machine three times as slow
	}
	goals := func(sittings int, fast float64) string {
		var all []string
		for i := range sittings {
			slow := float64(1 + i%2)
			all = append(all, `{"crossing_ns":[60,450],"seats":[`+strings.Join([]string{
				one(cPoll, "udp64", 1000, 100*slow, 40*slow), one(groOff, "udp64", 500, 90*slow, 15*slow), // half of them lost
				one(cPoll, "tcp1500", 1000, 100, 50), one(groOn, "tcp1500", 1000, 100, 90),
				one(cBusy, "udp64", 980, 100*slow, 100*slow), one(bareBusy, "udp64", 1000, 100*slow/fast, 100*slow),
				one(groOff, "xsk64", 1000, 100*slow, 10*slow), one(groOffBusy, "xsk64", 1000, 95*slow, 95*slow),
			}, ",")+`]}`)
		}
		put(t, dir, "duel.json", `{"turns":2,"turn_s":0.2,"sittings":[`+strings.Join(all, ",")+`],"skipped":["DPDK testpmd: none"]}`)
		return render(t, "<!-- bench: goals -->\n<!-- end -->", dir)
	}
	out := goals(8, 1)
	wants(t, out, "8 sittings of 2 turns of 0.2 s", "line 255 ns, half of the time 60 to 450", "Skipped: DPDK",
		"| 64 B live, GRO off: CPU per packet at most the C poll loop's | 90.0 ns | 120.0 ns | 0.750 (0.750 to 0.750) | met |",
		"| the same: loss at most that of the C poll loop | 50.00 % | 0.00 % | 50.000 (50.000 to 50.000) | **missed** |",
		"| 1514 B TCP, GRO on: CPU per packet at most C loop + GRO alone (T1) | 180.0 ns | 100.0 + 50.0 ns | 1.125 (1.125 to 1.125) | **missed** |", // 90/100 and 270/200
		"| 64 B live, busy, no metadata: at least 0.98 of the rate of C libxdp, busy |", "| 1.020 (1.020 to 1.020) | met |",
		"| 0.00 % | 2.00 % | -2.000 (-2.000 to -2.000) | met |",
		"| 0.950 at 0.10 | 0.95 at 0.50 | 0.950 (0.950 to 0.950) | met |")
	if strings.Contains(out, cAgain) || strings.Contains(out, testpmd+" |") {
		t.Errorf("goals about receivers that were not there:\n%s", out)
	}
	wants(t, goals(8, 0.95), "| 0.969 (0.969 to 0.969) | **missed** |")
	wants(t, goals(5, 1), "| 1.020 (1.020 to 1.020) | met, not clearly |")
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

func TestAnotherMachinesFiguresComeFromItsFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Rename(folder(t, "18.5"), filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	out := render(t, "<!-- bench: rx in=other udp64 -->\n<!-- end -->", dir)
	wants(t, out, "<!-- bench: rx in=other udp64 -->", "[rx.json](bench/other/rx.json): Z80", "18.5")
	if again := render(t, out, dir); again != out {
		t.Error("rendering twice is not rendering once")
	}
}
