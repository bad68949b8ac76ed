// Package perfdoc writes the tables of documents from the result files of the benchmarks, so that no figure in them can be
// another than what was measured. A document has places for tables,
//
//	<!-- bench: NAME ARGUMENTS -->
//	...
//	<!-- end -->
//
// and Render puts there what the files in a folder say; with an argument in=FOLDER, those of another machine, in a folder in
// that one. It needs nothing but the files: the benchmarks are a module of
// their own, which the repository's tests do not build.
package perfdoc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// place is where a table is, with what it is of.
var place = regexp.MustCompile(`(?s)<!-- bench: ([^>]*?) -->\n.*?<!-- end -->`)

// tables are the tables by name.
var tables = map[string]func(dir string, args []string) (string, error){
	"goals": goals, "rx": receivers, "trickle": trickles, "latency": latencies, "soak": soaks, "scale": scales, "profile": profiles,
	"pgo": pgos, "gro": engines, "flows": groFlows,
}

// Render returns the document with every table made anew from the JSON files in dir. Where a file is missing, the table
// says which command makes it.
func Render(doc []byte, dir string) ([]byte, error) {
	if n, m := strings.Count(string(doc), "<!-- bench: "), len(place.FindAll(doc, -1)); n != m {
		return nil, fmt.Errorf("%d tables begin, %d end (<!-- end -->)", n, m)
	}
	var errs []error
	out := place.ReplaceAllFunc(doc, func(old []byte) []byte {
		words := strings.Fields(string(place.FindSubmatch(old)[1]))
		if len(words) == 0 || tables[words[0]] == nil {
			errs = append(errs, fmt.Errorf("no table %q", words))
			return old
		}
		from, link, args := dir, "](bench/", words[1:]
		if len(args) > 0 {
			if other, ok := strings.CutPrefix(args[0], "in="); ok {
				from, link, args = filepath.Join(dir, other), "](bench/"+other+"/", args[1:]
			}
		}
		text, err := tables[words[0]](from, args)
		text = strings.ReplaceAll(text, "](bench/", link)
		if errors.Is(err, fs.ErrNotExist) {
			text, err = "Not measured: `make bench` does it.\n", nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("table %v: %w", words, err))
			return old
		}
		return []byte("<!-- bench: " + strings.Join(words, " ") + " -->\n" + text + "<!-- end -->")
	})
	return out, errors.Join(errs...)
}

// machine is where and when, and of what.
type machine struct {
	Date   time.Time `json:"date"`
	Commit string    `json:"commit"`
	CPU    string    `json:"cpu"`
	CPUs   int       `json:"cpus"`
	Kernel string    `json:"kernel"`
	Go     string    `json:"go"`
}

// from says which file the figures are of.
func (m machine) from(file, how string) string {
	return fmt.Sprintf("*[%s](bench/%s): %s, %d CPUs, Linux %s, %s, %s, commit %s; %s.*\n\n", file, file, m.CPU, m.CPUs, m.Kernel, m.Go,
		m.Date.Format("2006-01-02 15:04 MST"), m.Commit, how)
}

func read(dir, file string, v any) error {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// grid is a Markdown table.
type grid struct{ b strings.Builder }

func table(head ...string) *grid {
	g := &grid{}
	g.row(head...)
	g.b.WriteString("|" + strings.Repeat("---|", len(head)) + "\n")
	return g
}

func (g *grid) row(cells ...string) { g.b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }

func (g *grid) String() string { return g.b.String() }

// spread is a median with half of the distance between the quartiles.
func spread(v, s float64, digits int) string {
	return fmt.Sprintf("%.*f ± %.*f", digits, v, digits, s)
}

func num(v float64, digits int) string { return fmt.Sprintf("%.*f", digits, v) }

// micro writes microseconds with three figures.
func micro(v float64) string {
	switch {
	case v >= 9999.5:
		return fmt.Sprintf("%.3g ms", v/1e3)
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// verdict is what a goal came to.
func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**missed**"
}

// short writes a count with k or M.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3g M", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.3g k", v/1e3)
	}
	return fmt.Sprintf("%g", v)
}
