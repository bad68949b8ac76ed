package metrics

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"xrx/stats"
)

var update = flag.Bool("update", false, "write the table of docs/METRICS.md anew")

// table is the catalog as docs/METRICS.md shows it.
func table() string {
	var b strings.Builder
	b.WriteString("| metric | type | labels beside `interface` | field of `run --json` | counted by | what it is |\n|---|---|---|---|---|---|\n")
	for i := range stats.Catalog {
		d := &stats.Catalog[i]
		name, field, labels := d.Metric, d.JSON, labelNames(d)
		if d.Value != "" {
			name += fmt.Sprintf("{%s=%q}", d.Label, d.Value)
		} else if d.Label != "" {
			field += ".*"
		}
		if d.PerWorker() {
			field = "workers[]." + field
		}
		if d.PerQueue() {
			if d.OnlyPerQueue() {
				field = "queues[]." + field
			} else {
				field += "`, `queues[]." + field
			}
		}
		fmt.Fprintf(&b, "| `%s` | %v | %s | `%s` | %s | %s |\n", name, d.Kind, strings.Join(labels, ", "), field, d.Layer, d.Help)
	}
	b.WriteString("\n| field of `run --json` | by Prometheus |\n|---|---|\n")
	for _, c := range stats.Calculated {
		query := c.Query
		if strings.Contains(query, "(") {
			query = "`" + query + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", c.JSON, query)
	}
	return b.String()
}

func TestTheDocumentListsEveryMetric(t *testing.T) {
	const path, from, to = "../docs/METRICS.md", "<!-- table: written by go test ./metrics -update -->\n", "<!-- end -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), from)
	old, tail, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+from+table()+to+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if old != table() {
		t.Errorf("%s does not show the catalog: go test ./metrics -update writes it anew", path)
	}
}

var metricName = regexp.MustCompile(`\bxrx_[a-z_]+`)

// served is the name of every metric.
func served() map[string]bool {
	m := map[string]bool{"xrx_mode_info": true, "xrx_start_time_seconds": true}
	for i := range stats.Catalog {
		m[stats.Catalog[i].Metric] = true
	}
	return m
}

func TestDashboardAlertsAndQueriesUseMetricsThatThereAre(t *testing.T) {
	known := served()
	for _, path := range []string{"../docs/grafana-dashboard.json", "../docs/alert-rules.yml", "testdata/alert-rules.test.yml", "../docs/METRICS.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		names := metricName.FindAllString(string(text), -1)
		if len(names) == 0 {
			t.Errorf("%s names no metric", path)
		}
		for _, n := range names {
			if !known[n] {
				t.Errorf("%s: there is no metric %s", path, n)
			}
		}
	}
}

func TestEveryAlertHasATest(t *testing.T) {
	rules, err := os.ReadFile("../docs/alert-rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("testdata/alert-rules.test.yml")
	if err != nil {
		t.Fatal(err)
	}
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(rules), -1)
	if len(alerts) == 0 {
		t.Error("no alerts")
	}
	for _, a := range alerts {
		quiet := strings.Contains(string(tests), "alertname: "+a[1]+"}")
		fires := strings.Contains(string(tests), "alertname: "+a[1]+"\n        exp_alerts:")
		if !quiet || !fires {
			t.Errorf("%s: a test that it is quiet: %v, that it fires: %v", a[1], quiet, fires)
		}
	}
}

func TestTheDashboardIsOneThatGrafanaReads(t *testing.T) {
	text, err := os.ReadFile("../docs/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title         string
		SchemaVersion int
		Panels        []struct {
			ID          int
			Type, Title string
			Description string
			GridPos     struct{ X, Y, W, H int }
			FieldConfig struct{ Defaults struct{ Unit string } }
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.SchemaVersion == 0 || len(d.Panels) == 0 {
		t.Errorf("title %q, schema %d, %d panels", d.Title, d.SchemaVersion, len(d.Panels))
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d %q: an id of its own, title, description, unit and query are wanted", p.ID, p.Title)
		}
		ids[p.ID] = true
		if g := p.GridPos; g.X+g.W > 24 {
			t.Errorf("panel %q is wider than the grid", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("panel %q lies on %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}
