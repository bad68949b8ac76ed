package page

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// chart is lines over time.
type chart struct {
	ID, Title string
	Note      string    // what is to be known about it, below the title
	Unit      string    // of the values, without prefix
	SI        bool      // whether the unit takes k, M and G
	Top       float64   // the axis reaches at least this high
	at        []float64 // seconds since the start, at the end of each interval
	Lines     []series
}

// series is one line: a value for each moment, NaN where there is none.
type series struct {
	Name   string
	values []float64
}

// The picture, in its own units; a page scales it. The margins hold the labels.
const (
	wide, high                = 560.0, 240.0
	left, right, upper, lower = 56.0, 14.0, 28.0, 44.0
)

// least is what an axis can tell from 0.
const least = 1e-6

// SVG draws the chart: axes with units, grid, lines, and for each moment a strip whose title tells the values.
func (c chart) SVG() template.HTML {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	first, end, seconds, clock := c.timeAxis()
	top, factor, unit := c.valueAxis()
	x := func(t float64) float64 { return left + (t-first)/(end-first)*(wide-left-right) }
	y := func(v float64) float64 { return high - lower - v/top*(high-lower-upper) }
	p(`<svg class="chart" id="%s" viewBox="0 0 %g %g" role="img" aria-label="%s">`, c.ID, wide, high, html.EscapeString(c.Title+", "+unit+", over time"))
	p(`<text class="unit" x="4" y="14">%s</text>`, html.EscapeString(unit))
	for _, v := range ticks(0, top/factor, 5) {
		p(`<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/>`, left, wide-right, y(v*factor), y(v*factor))
		p(`<text class="tick" x="%g" y="%.1f" text-anchor="end">%s</text>`, left-6, y(v*factor)+4, number(v))
	}
	for _, t := range ticks(first/seconds, end/seconds, 8) {
		p(`<line class="grid" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/>`, x(t*seconds), x(t*seconds), upper, high-lower+4)
		p(`<text class="tick" x="%.1f" y="%g" text-anchor="middle">%s</text>`, x(t*seconds), high-lower+18, number(t))
	}
	p(`<line class="axis" x1="%g" x2="%g" y1="%g" y2="%g"/>`, left, wide-right, high-lower, high-lower)
	p(`<text class="unit" x="%g" y="%g" text-anchor="end">time since the start, %s</text>`, wide-right, high-6, clock)
	for i, l := range c.Lines {
		c.line(&b, i, l, x, y)
	}
	c.strips(&b, x, seconds, clock, factor, unit)
	p(`</svg>`)
	return template.HTML(b.String())
}

// line draws one series: a path with gaps where there is no value, and dots where they do not run into each other.
func (c chart) line(b *strings.Builder, i int, l series, x, y func(float64) float64) {
	var path, dots strings.Builder
	move := true
	for j, v := range l.values {
		if math.IsNaN(v) {
			move = true
			continue
		}
		letter := byte('L')
		if move {
			letter = 'M'
		}
		move = false
		fmt.Fprintf(&path, "%c%.1f %.1f", letter, x(c.at[j]), y(v))
		alone := (j == 0 || math.IsNaN(l.values[j-1])) && (j == len(l.values)-1 || math.IsNaN(l.values[j+1]))
		if alone || len(l.values) <= 40 {
			fmt.Fprintf(&dots, `<circle class="dot s%d" cx="%.1f" cy="%.1f" r="2.4"/>`+"\n", i, x(c.at[j]), y(v))
		}
	}
	fmt.Fprintf(b, `<path class="line s%d" d="%s"/>`+"\n%s", i, path.String(), dots.String())
}

// strips lays an invisible strip over each moment: pointed at, it shows its values.
func (c chart) strips(b *strings.Builder, x func(float64) float64, seconds float64, clock string, factor float64, unit string) {
	for j, t := range c.at {
		from, to := x(t), x(t)
		if j > 0 {
			from = (x(c.at[j-1]) + from) / 2
		} else {
			from = max(left, from-4)
		}
		if j < len(c.at)-1 {
			to = (to + x(c.at[j+1])) / 2
		} else {
			to = min(wide-right, to+4)
		}
		var says strings.Builder
		fmt.Fprintf(&says, "at %s %s", number(round(t/seconds)), clock)
		for _, l := range c.Lines {
			if v := l.values[j]; !math.IsNaN(v) {
				fmt.Fprintf(&says, "\n%s: %s %s", l.Name, number(round(v/factor)), unit)
			}
		}
		fmt.Fprintf(b, `<rect class="strip" x="%.1f" y="%g" width="%.1f" height="%g"><title>%s</title></rect>`+"\n",
			from, upper, max(to-from, 0.1), high-lower-upper, html.EscapeString(says.String()))
	}
}

// timeAxis returns the range of the horizontal axis in seconds, and the unit that suits it.
func (c chart) timeAxis() (first, end, seconds float64, clock string) {
	end = 1
	if n := len(c.at); n > 0 && c.at[n-1] > least {
		end = c.at[n-1]
	}
	switch {
	case end > 3*3600:
		return 0, end, 3600, "hours"
	case end > 600:
		return 0, end, 60, "minutes"
	}
	return 0, end, 1, "seconds"
}

// valueAxis returns the top of the vertical axis, and the factor and name of its unit.
func (c chart) valueAxis() (top, factor float64, unit string) {
	for _, l := range c.Lines {
		for _, v := range l.values {
			if !math.IsNaN(v) {
				top = max(top, v)
			}
		}
	}
	if top = max(top, c.Top); top < least {
		top = 1
	}
	factor = 1
	prefix := ""
	if c.SI {
		for _, p := range []struct {
			factor float64
			name   string
		}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
			if top >= p.factor {
				factor, prefix = p.factor, p.name
				break
			}
		}
	}
	step := niceStep(top/factor, 5)
	return math.Ceil(top/factor/step-1e-9) * step * factor, factor, prefix + c.Unit
}

// niceStep is 1, 2 or 5 times a power of ten, so that about n of them make span.
func niceStep(span float64, n int) float64 {
	power := math.Pow(10, math.Floor(math.Log10(span/float64(n))))
	for _, m := range []float64{1, 2, 5} {
		if span/(m*power) <= float64(n)+1e-9 {
			return m * power
		}
	}
	return 10 * power
}

// ticks are round numbers from lo to hi, about n of them.
func ticks(lo, hi float64, n int) (list []float64) {
	step := niceStep(hi-lo, n)
	for i := math.Ceil(lo/step - 1e-9); i*step <= hi*(1+1e-9); i++ {
		list = append(list, round(i*step))
	}
	return list
}

// round leaves four figures.
func round(v float64) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	if err != nil {
		return v
	}
	return r + 0 // -0 becomes 0
}

func number(v float64) string {
	if v != 0 && (math.Abs(v) < 1e-4 || math.Abs(v) >= 1e7) {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
