package page

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"xrx/internal/testnet"
)

// browserTime bounds one start of the browser: it takes a second or two, on a busy machine much more.
const browserTime = 2 * time.Minute

// browse opens a page in a headless browser without network, in a window of that width, and returns what it printed. The
// window is higher than the page: a scroll bar would move the charts.
func browse(path, file string, width int, args ...string) ([]byte, error) {
	profile, err := os.MkdirTemp("", "xrx-browser-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(profile)
	ctx, stop := context.WithTimeout(context.Background(), browserTime)
	defer stop()
	cmd := exec.CommandContext(ctx, path, append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir=" + profile,
		fmt.Sprintf("--window-size=%d,5000", width)}, append(args, "file://"+file)...)...)
	cmd.WaitDelay = 5 * time.Second
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", path, err, complaint.Bytes())
	}
	return out, nil
}

// browser returns a browser that has been seen to open a page; the test is skipped where there is none.
func browser(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes seconds: not with -short")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		testnet.Require(t, "cmd:chromium")
	}
	hello := filepath.Join(t.TempDir(), "hello.html")
	if err := os.WriteFile(hello, []byte("<title>hello</title><script>document.title += ', world'</script>"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := browse(path, hello, 800, "--dump-dom")
	if err != nil || !bytes.Contains(out, []byte("hello, world")) {
		t.Skipf("chromium does not run here: %v, it printed %q", err, out)
	}
	return path
}

// probe measures, in the browser, what has been drawn.
const probe = `<script>
const box = e => { const r = e.getBoundingClientRect(); return {X: r.left + scrollX, Y: r.top + scrollY, W: r.width, H: r.height}; };
const found = {Wide: document.documentElement.scrollWidth, Window: document.documentElement.clientWidth, Charts: []};
for (const svg of document.querySelectorAll('svg.chart'))
  found.Charts.push({ID: svg.id, Box: box(svg),
    Lines: [...svg.querySelectorAll('path.line')].map(e => ({...box(e), Length: e.getTotalLength(), Stroke: getComputedStyle(e).stroke})),
    Texts: [...svg.querySelectorAll('text')].map(e => ({...box(e), Text: e.textContent, Fill: getComputedStyle(e).fill}))});
const pre = document.createElement('pre'); pre.id = 'probe'; pre.textContent = JSON.stringify(found); document.body.append(pre);
</script></body>`

type box struct{ X, Y, W, H float64 }

func (b box) inside(c box) bool {
	const slack = 1.5 // pixels: strokes have a width
	return b.X >= c.X-slack && b.Y >= c.Y-slack && b.X+b.W <= c.X+c.W+slack && b.Y+b.H <= c.Y+c.H+slack
}

func (b box) overlaps(c box) bool {
	return b.X < c.X+c.W && c.X < b.X+b.W && b.Y < c.Y+c.H && c.Y < b.Y+b.H
}

type drawn struct {
	Wide, Window float64
	Charts       []struct {
		ID    string
		Box   box
		Lines []struct {
			box
			Length float64
			Stroke string
		}
		Texts []struct {
			box
			Text, Fill string
		}
	}
}

var probed = regexp.MustCompile(`(?s)<pre id="probe">(.*?)</pre>`)

func measure(t *testing.T, path, page string, width int) (d drawn) {
	t.Helper()
	csp := regexp.MustCompile(`<meta http-equiv="Content-Security-Policy"[^>]*>`)
	if !csp.MatchString(page) {
		t.Error("the page does not forbid itself network and scripts")
	}
	file := filepath.Join(t.TempDir(), "probe.html")
	if err := os.WriteFile(file, []byte(strings.Replace(csp.ReplaceAllString(page, ""), "</body>", probe, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	dom, err := browse(path, file, width, "--dump-dom")
	if err != nil {
		t.Fatal(err)
	}
	m := probed.FindSubmatch(dom)
	if m == nil {
		t.Fatalf("the browser measured nothing; its page begins with %.300s", dom)
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(string(m[1]))), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestABrowserDrawsTheChartsWithTheirLabels(t *testing.T) {
	path := browser(t)
	light := write(t, lines(t, 60, true))
	dark := strings.Replace(light, "@media (prefers-color-scheme: dark)", "@media all", 1)
	if dark == light {
		t.Fatal("the page has no dark colours")
	}
	for _, c := range []struct {
		name, page string
		width      int
	}{{"light", light, 1300}, {"dark", dark, 1300}, {"on a telephone", light, 500}} {
		t.Run(c.name, func(t *testing.T) {
			d := measure(t, path, c.page, c.width)
			if d.Wide > d.Window {
				t.Errorf("the page is %v wide, the window %v", d.Wide, d.Window)
			}
			if len(d.Charts) != 8 {
				t.Errorf("%d charts, want 8", len(d.Charts))
			}
			for _, chart := range d.Charts {
				if chart.Box.W < 280 || chart.Box.H < 100 {
					t.Errorf("%s is %vx%v", chart.ID, chart.Box.W, chart.Box.H)
				}
				for i, l := range chart.Lines {
					if l.W < 0.9*chart.Box.W*(wide-left-right)/wide*0.95 || l.Length < l.W/2 || !l.inside(chart.Box) {
						t.Errorf("%s: line %d is %+v in a chart of %+v", chart.ID, i, l, chart.Box)
					}
				}
				for i, a := range chart.Texts {
					if a.W < 1 || !a.inside(chart.Box) {
						t.Errorf("%s: %q at %+v is not inside of %+v", chart.ID, a.Text, a.box, chart.Box)
					}
					for _, b := range chart.Texts[i+1:] {
						if a.overlaps(b.box) {
							t.Errorf("%s: %q is written over %q", chart.ID, a.Text, b.Text)
						}
					}
				}
				if len(chart.Texts) < 7 || len(chart.Lines) == 0 {
					t.Errorf("%s has %d texts and %d lines", chart.ID, len(chart.Texts), len(chart.Lines))
				}
			}
			if c.width > 1000 {
				seen(t, path, c.page, c.width, d)
			}
		})
	}
}

// seen looks for the lines of each chart in a screenshot, by their colours.
func seen(t *testing.T, path, page string, width int, d drawn) {
	t.Helper()
	dir := t.TempDir()
	file, shot := filepath.Join(dir, "page.html"), filepath.Join(dir, "page.png")
	if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := browse(path, file, width, "--screenshot="+shot); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(shot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, chart := range d.Charts {
		for i, l := range chart.Lines {
			var want color.RGBA
			if _, err := fmt.Sscanf(l.Stroke, "rgb(%d, %d, %d)", &want.R, &want.G, &want.B); err != nil {
				t.Fatalf("%s: stroke %q: %v", chart.ID, l.Stroke, err)
			}
			if n := count(picture, chart.Box, want); n < 40 {
				t.Errorf("%s: %d pixels of line %d in its colour %v", chart.ID, n, i, want)
			}
		}
	}
}

// count returns how many pixels inside of a box are about of a colour.
func count(p image.Image, b box, want color.RGBA) (n int) {
	near := func(a uint32, b uint8) bool { d := int(a>>8) - int(b); return -40 < d && d < 40 }
	for y := int(b.Y); y < int(b.Y+b.H); y++ {
		for x := int(b.X); x < int(b.X+b.W); x++ {
			if r, g, b, _ := p.At(x, y).RGBA(); near(r, want.R) && near(g, want.G) && near(b, want.B) {
				n++
			}
		}
	}
	return n
}
