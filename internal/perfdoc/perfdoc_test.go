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
{"receiver":"xrx, GRO off","load":"xsk64","kpps":940,"cpu_percent":25,"samples":[{}]},
{"receiver":"xrx, GRO off, busy","load":"xsk64","kpps":1000,"cpu_percent":100,"samples":[{}]},
{"receiver":"DPDK","load":"udp64","failed":"not\nready","samples":null}],
"trickle":[{"load":"xsk64","adaptive_kpps":940,"busy_kpps":1000,"rate_ratio":0.94,"cpu_ratio":0.25,"pass":false}]}`

func folder(t *testing.T, ns string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rx.json"), []byte(strings.Replace(rxFile, "%s", ns, 1)), 0o644); err != nil {
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
	for _, want := range []string{"before\n<!--", "-->\nafter", "| 7000 ± 12 | 0.50 | 20.2", "18.5", "failed: not ready", "2026-01-02", "commit abc", "| 18.5 ns | 20.2 ns | met |", "| 0.940 at 0.25 | 0.95 at 0.50 | **missed** |"} {
		if !strings.Contains(first, want) {
			t.Errorf("not in it: %q\n%s", want, first)
		}
	}
	if strings.Contains(first, "old") || !strings.Contains(second, "| 31.5 ns | 20.2 ns | **missed** |") {
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

// Receivers are compared where the two processors were as far apart for both: a sample of one placement says nothing about
// the other.
func TestGoalsCompareWhatWasMeasuredInOnePlacement(t *testing.T) {
	dir := t.TempDir()
	sample := func(ns, crossing float64) string {
		return fmt.Sprintf(`{"sent": 1000, "received": 990, "seconds": 1, "cpu_s": %g, "crossing_ns": %g}`, ns*990/1e9, crossing)
	}
	cells := fmt.Sprintf(`{"receiver": "C libxdp, poll", "load": "udp64", "samples": [%s, %s]}, {"receiver": "xrx, GRO off", "load": "udp64", "samples": [%s, %s, %s]}`,
		sample(20, 60), sample(80, 450), sample(21, 61), sample(31, 440), sample(33, 470))
	if err := os.WriteFile(filepath.Join(dir, "rx.json"), []byte(`{"rounds": 3, "cells": [`+cells+`]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	out := render(t, "<!-- bench: goals -->\n<!-- end -->", dir)
	for _, want := range []string{"| near (1, 1 samples) | 21.0 ns | 20.0 ns | **missed** |", "| far (2, 1 samples) | 32.0 ns | 80.0 ns | met |", "| far (2, 1 samples) | 1.00 % | 1.00 % | met |"} {
		if !strings.Contains(out, want) {
			t.Errorf("not in it: %q\n%s", want, out)
		}
	}
}
