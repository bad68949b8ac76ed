// Package figure draws the benchmarks' curves as SVG, with gonum/plot: panels below each other, axes with units, a legend.
// Grid and text are of a grey that is readable on light and on dark ground; there is no ground of its own.
package figure

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"xrx/bench/internal/lab"
)

// Panel is one set of axes.
type Panel struct {
	Title, X, Y string
	LogX, LogY  bool
	Names       []string // of 0, 1, 2, .. on the horizontal axis; nil: numbers
	Lines       []Line
}

// Line is one curve.
type Line struct {
	Name string
	X, Y []float64
}

// grey has the same contrast to white and to black.
var grey = color.RGBA{R: 0x80, G: 0x80, B: 0x80, A: 0xff}

// colours are Okabe and Ito's, which most people can tell apart, without black and yellow.
var colours = []color.Color{color.RGBA{0x00, 0x72, 0xb2, 0xff}, color.RGBA{0xd5, 0x5e, 0x00, 0xff}, color.RGBA{0x00, 0x9e, 0x73, 0xff},
	color.RGBA{0xcc, 0x79, 0xa7, 0xff}, color.RGBA{0x56, 0xb4, 0xe9, 0xff}, color.RGBA{0xe6, 0x9f, 0x00, 0xff}}

const wide, high = 17 * vg.Centimeter, 9 * vg.Centimeter

// Save draws the panels into one file, named from the repository's top folder.
func Save(path string, panels ...Panel) error {
	c := vgsvg.NewWith(vgsvg.UseWH(wide, high*vg.Length(len(panels))))
	dc := draw.New(c)
	for i, p := range panels {
		one, err := p.plot()
		if err != nil {
			return fmt.Errorf("%s: %w", p.Title, err)
		}
		top := dc.Max.Y - high*vg.Length(i)
		one.Draw(draw.Crop(draw.Canvas{Canvas: dc.Canvas, Rectangle: vg.Rectangle{Min: vg.Point{X: dc.Min.X, Y: top - high}, Max: vg.Point{X: dc.Max.X, Y: top}}}, 6, -10, 6, -6))
	}
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return err
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(lab.Root(), path)
	}
	return os.WriteFile(path, plain(b.Bytes()), 0o644)
}

// family names fonts that every viewer has.
var family = regexp.MustCompile(`font-family:[^;"]*`)

func plain(svg []byte) []byte {
	return family.ReplaceAll(svg, []byte("font-family:Helvetica,Arial,sans-serif"))
}

func (p Panel) plot() (*plot.Plot, error) {
	q := plot.New()
	q.BackgroundColor = color.Transparent
	q.Title.Text, q.X.Label.Text, q.Y.Label.Text = p.Title, p.X, p.Y
	for _, s := range []*text.Style{&q.Title.TextStyle, &q.X.Label.TextStyle, &q.Y.Label.TextStyle, &q.X.Tick.Label, &q.Y.Tick.Label, &q.Legend.TextStyle} {
		s.Color = grey
		s.Font.Variant = "Sans"
	}
	for _, l := range []*draw.LineStyle{&q.X.LineStyle, &q.Y.LineStyle, &q.X.Tick.LineStyle, &q.Y.Tick.LineStyle} {
		l.Color = grey
	}
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = grey, grey
	grid.Horizontal.Width, grid.Vertical.Width = vg.Points(0.25), vg.Points(0.25)
	q.Add(grid)
	least := math.Inf(1)
	for i, l := range p.Lines {
		var xy plotter.XYs
		for j := range l.X {
			if p.LogY && l.Y[j] <= 0 || p.LogX && l.X[j] <= 0 || math.IsNaN(l.Y[j]) {
				continue // has no place on this axis
			}
			xy = append(xy, plotter.XY{X: l.X[j], Y: l.Y[j]})
			least = min(least, l.Y[j])
		}
		if len(xy) == 0 {
			continue
		}
		line, dots, err := plotter.NewLinePoints(xy)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = colours[i%len(colours)], vg.Points(1.6)
		if i >= len(colours) {
			line.Dashes = []vg.Length{vg.Points(4), vg.Points(2)}
		}
		dots.Color, dots.Shape, dots.Radius = line.Color, draw.CircleGlyph{}, vg.Points(2.2)
		q.Add(line, dots)
		q.Legend.Add(l.Name, line, dots)
	}
	q.Legend.Top, q.Legend.Left = true, true
	q.Legend.XOffs, q.Legend.Padding = vg.Points(6), vg.Points(1)
	if p.LogX {
		q.X.Scale, q.X.Tick.Marker = plot.LogScale{}, decades{}
	}
	if p.LogY {
		q.Y.Scale, q.Y.Tick.Marker = plot.LogScale{}, decades{}
		q.Y.Min = min(q.Y.Min, least)
		q.Y.Max *= 60 // room for the legend
	} else {
		q.Y.Min = 0
		q.Y.Max *= 1.45
	}
	if p.Names != nil {
		var ticks plot.ConstantTicks
		for i, n := range p.Names {
			ticks = append(ticks, plot.Tick{Value: float64(i), Label: n})
		}
		q.X.Tick.Marker = ticks
	}
	if q.X.Min == q.X.Max {
		q.X.Min, q.X.Max = q.X.Min-1, q.X.Max+1
	}
	return q, nil
}

// decades are ticks at powers of ten, labelled 1, 10, 100, 1 k, ...
type decades struct{}

func (decades) Ticks(low, high float64) (ticks []plot.Tick) {
	for v := math.Pow(10, math.Floor(math.Log10(low))); v <= high*1.0001; v *= 10 {
		if v >= low*0.9999 {
			ticks = append(ticks, plot.Tick{Value: v, Label: Short(v)})
		}
		for m := 2.0; m < 10; m++ {
			if v*m >= low && v*m <= high {
				ticks = append(ticks, plot.Tick{Value: v * m})
			}
		}
	}
	return ticks
}

// Short writes a number with k or M.
func Short(v float64) string {
	for _, p := range []struct {
		at   float64
		name string
	}{{1e6, " M"}, {1e3, " k"}} {
		if v >= p.at {
			return strings.TrimSuffix(fmt.Sprintf("%.3g", v/p.at), ".0") + p.name
		}
	}
	return fmt.Sprintf("%.3g", v)
}
