package figure

import (
	"bytes"
	"encoding/xml"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFigureHasItsAxesUnitsAndLegend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.svg")
	err := Save(path,
		Panel{Title: "First", X: "flows", Y: "time, ns", LogX: true, LogY: true, Lines: []Line{
			{Name: "one", X: []float64{1, 1000, 1e6}, Y: []float64{10, 0, 5000}}, // 0 has no place on a logarithmic axis
			{Name: "none", X: []float64{1}, Y: []float64{math.NaN()}},
		}},
		Panel{Title: "Second", X: "percentile", Y: "latency, µs", Names: []string{"p50", "p99"}, Lines: []Line{{Name: "two", X: []float64{0, 1}, Y: []float64{0, 3}}}},
		Panel{Title: "Third", X: "queues", Y: "loss, %", Lines: []Line{{Name: "alone", X: []float64{1}, Y: []float64{0}}}})
	if err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := token.(xml.CharData); ok {
			text.Write(c)
			text.WriteByte('\n')
		}
	}
	for _, want := range []string{"First", "flows", "time, ns", "1 k", "1 M", "one", "Second", "latency, µs", "p99", "two", "Third", "alone"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the figure does not say %q", want)
		}
	}
	if strings.Contains(string(svg), "NaN") || strings.Contains(string(svg), "Inf") {
		t.Error("a coordinate is no number")
	}
}
