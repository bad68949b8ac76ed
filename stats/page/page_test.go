package page

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"xrx/stats"
	"xrx/umem"
)

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// lines are the JSON lines of a run of n intervals of a second: traffic that swells, losses by several reasons, one
// interval in which nothing came, two queues, two workers, handlers and taps.
func lines(t *testing.T, n int, summary bool) string {
	t.Helper()
	mode := stats.Mode{Attach: "native", Bind: "copy", Reason: "not zerocopy: <script>alert(1)</script> & \"more\""}
	first := stats.Snapshot{At: began, Queues: []stats.Queue{{Queue: 0}, {Queue: 3}}}
	last := first
	var b bytes.Buffer
	for i := 1; i <= n; i++ {
		now := stats.Snapshot{At: began.Add(time.Duration(i) * time.Second), XDP: map[string]uint64{"redirected": uint64(i) * 4e6, "no_socket": 12},
			CPU: stats.CPU{User: time.Duration(i) * 400 * time.Millisecond, Sys: time.Duration(i) * 100 * time.Millisecond}}
		for _, q := range last.Queues {
			if i != 3 {
				packets := uint64(1e6 * (2 + math.Sin(float64(i+q.Queue)/3)))
				q.Packets, q.Bytes, q.Polls = q.Packets+packets, q.Bytes+packets*700, q.Polls+packets/40
				q.GROIn, q.GROOut = q.GROIn+packets, q.GROOut+packets/uint64(2+i%5)
				q.OutPackets, q.OutSegments, q.OutBytes = q.GROOut, q.GROIn, q.Bytes
			}
			q.GRO = map[string]uint64{"poll_end": uint64(i) * 100, "tcp_seq": uint64(i)}
			q.Drops = map[string]uint64{"descriptor_bad_length": uint64(i / 4), "cut_chain": uint64(i / 2)}
			q.Kernel = stats.Kernel{RxDropped: uint64(i * i * 50), RxRingFull: uint64(i * 20)}
			q.Handled = map[string]uint64{"udp port 53": q.GROOut / 2, "<unclaimed>": q.GROOut / 9}
			q.Panics = map[string]uint64{"udp port 53": uint64(i / 7)}
			q.FillLevel, q.FillSize = 2048-i%7*200, 2048
			q.Ledger = umem.Ledger{Total: 4096, Free: 2000, Filling: 2096}
			now.Queues = append(now.Queues, q)
		}
		now.Missed, now.Kept = map[string]uint64{"capture": uint64(i * 11)}, map[string]uint64{"capture": uint64(i % 60)}
		for w := range 2 {
			n := uint64(i * (w + 1) * 400_000)
			now.Workers = append(now.Workers, stats.Worker{Worker: w, Packets: n, Segments: 3 * n, Bytes: 700 * n, Backlog: (i + w) % 9, HighWater: min(i, 9) + 10*w, Held: i % 13,
				Drops: map[string]uint64{stats.Quota: uint64(i * 1234 * w), stats.BacklogFull: uint64(i * 5)}})
		}
		if err := stats.NewReport("interval", "eth<1>", mode, began, last, now).WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		last = now
	}
	if summary {
		if err := stats.NewReport("summary", "eth<1>", mode, began, first, last).WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// write returns the page of some lines.
func write(t *testing.T, text string) string {
	t.Helper()
	run, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := Write(&b, run, "run.jsonl"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestALineThatIsNoneOfARunIsNamedWithItsNumber(t *testing.T) {
	good := lines(t, 2, false)
	whole := lines(t, 2, true)
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "no report in it"},
		{"empty lines alone", "\n \n\n", "no report in it"},
		{"a warning among them", good + "xrx: warning: something\n", "line 3: not JSON: invalid character 'x'"},
		{"a broken line in the middle", `{"type":"interv` + "\n" + good, "line 1: not JSON: unexpected end"},
		{"two objects in a line", strings.Replace(good, "}\n{", "}{", 1), "line 1: not JSON: invalid character '{' after top-level value"},
		{"a list", good + "[1,2]\n", "line 3: a JSON array, not an object"},
		{"a number", "5\n", "line 1: a JSON number, not an object"},
		{"nothing in the object", good + "{}\n", `line 3: type is ""`},
		{"another program's lines", `{"type":"request","path":"/"}` + "\n", `line 1: type is "request"`},
		{"a word for a number", `{"type":"interval","rx":{"packets":"many"}}` + "\n", "line 1: rx.packets is a string"},
		{"a number below 0", `{"type":"interval","rx":{"packets":-1}}` + "\n", "line 1: rx.packets is a number -1"},
		{"a fraction of a packet", `{"type":"interval","drops":{"x":0.5}}` + "\n", "line 1: drops"},
		{"a time below 0", `{"type":"interval","elapsed_s":-1}` + "\n", "line 1: a time below 0"},
		{"a time beyond measure", `{"type":"interval","interval_s":1e300}` + "\n", "line 1: a time below 0, or beyond all measure"},
		{"two runs", whole + whole, "line 4: another run begins here"},
		{"two runs without summaries", good + good, "line 3: another run begins here"},
		{"of two interfaces", good + strings.ReplaceAll(whole, "eth", "veth"), "line 3: another run begins here"},
		{"after an empty line", good + "\n\n?\n", "line 5: not JSON"},
		{"a line without end", good + strings.Repeat("x", lineMost+1), "line 3: longer than"},
		{"a last line that is no report", good + "{}", `line 3: type is ""`},
	} {
		run, err := Read(strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v (%v), want %q", c.name, err, run, c.want)
		}
	}
}

func TestALastLineThatIsCutOffIsLeftOutAndSaid(t *testing.T) {
	good := lines(t, 3, false)
	for _, cut := range []int{1, 10, 400} {
		text := good[:len(good)-cut-1]
		run, err := Read(strings.NewReader(text))
		if err != nil || run.CutOff != 3 || len(run.Intervals) != 2 || run.Summary != nil {
			t.Fatalf("%d bytes missing: %+v, %v", cut, run, err)
		}
		page := write(t, text)
		for _, want := range []string{"Line 3, the last, is cut off", "no summary"} {
			if !strings.Contains(page, want) {
				t.Errorf("the page does not say %q", want)
			}
		}
	}
	if run, err := Read(strings.NewReader(strings.TrimSuffix(good, "\n"))); err != nil || run.CutOff != 0 || len(run.Intervals) != 3 {
		t.Errorf("only the newline missing: %+v, %v", run, err)
	}
}

// What intervals add up to is what the receiver summed up itself.
func TestWithoutASummaryTheIntervalsAreAddedUp(t *testing.T) {
	with, err := Read(strings.NewReader(lines(t, 10, true)))
	if err != nil {
		t.Fatal(err)
	}
	without, err := Read(strings.NewReader(lines(t, 10, false)))
	if err != nil {
		t.Fatal(err)
	}
	a, b := with.Whole(), without.Whole()
	for what, pair := range map[string][2]any{
		"rx": {a.Rx, b.Rx}, "delivered": {a.Delivered, b.Delivered}, "kernel": {a.Kernel, b.Kernel}, "drops": {a.Drops, b.Drops}, "xdp": {a.XDP, b.XDP},
		"workers": {fmt.Sprint(a.Workers), fmt.Sprint(b.Workers)}, "consumers": {a.Consumers, b.Consumers},
		"gro": {a.GRO, b.GRO}, "ledger": {a.Ledger, b.Ledger}, "interval": {a.Interval, b.Interval}, "elapsed": {a.Elapsed, b.Elapsed}, "dropped": {a.Dropped(), b.Dropped()},
		"queue 3": {fmt.Sprint(a.Queues[1].Queue, a.Queues[1].Rx, a.Queues[1].Delivered, a.Queues[1].Batch, a.Queues[1].Drops, a.Queues[1].Kernel, a.Queues[1].Fill),
			fmt.Sprint(b.Queues[1].Queue, b.Queues[1].Rx, b.Queues[1].Delivered, b.Queues[1].Batch, b.Queues[1].Drops, b.Queues[1].Kernel, b.Queues[1].Fill)},
	} {
		if fmt.Sprint(pair[0]) != fmt.Sprint(pair[1]) {
			t.Errorf("%s: %v in the summary, %v added up", what, pair[0], pair[1])
		}
	}
	if math.Abs(a.CPU.NsPerPacket-b.CPU.NsPerPacket) > 1e-6 {
		t.Errorf("processor: %v, %v", a.CPU, b.CPU)
	}
}

// idsOf returns the charts of a page.
func idsOf(page string) (ids []string) {
	for _, m := range regexp.MustCompile(`<svg class="chart" id="(\w+)"`).FindAllStringSubmatch(page, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

func TestThePageHasItsChartsAndTables(t *testing.T) {
	p := write(t, lines(t, 20, true))
	if got, want := fmt.Sprint(idsOf(p)), "[packets bits loss cpu processors coalescing fill queues]"; got != want {
		t.Errorf("charts %s, want %s", got, want)
	}
	for _, want := range []string{
		"native&#43;copy", "eth&lt;1&gt;", "not zerocopy: &lt;script&gt;alert(1)&lt;/script&gt;", // as they are, harmless
		"time since the start, seconds", ">Mpps<", ">Gbit/s<", ">ns/packet<", ">packets in per packet out<", ">processors<", ">% full<", // axes with units
		"rx_dropped: ", "queue 3: ", // values of a moment
		`<td class="n">1</td><td class="n">16,000,000</td><td class="n">48,000,000</td><td class="n">11,200,000,000</td><td class="n">66.67 %</td>`, `<td class="n">24,680</td>`, // a worker
		"<td><code>capture</code></td><td class=\"n\">\u2013</td><td class=\"n\">\u2013</td><td class=\"n\">220</td><td class=\"n\">20</td>", "<td><code>&lt;unclaimed&gt;</code></td>", // consumers
		"<td><code>rx_ring_full</code></td>", "xrx was too slow", "<td><code>descriptor_bad_length</code></td>", "<td><code>poll_end</code></td>", "end of the poll", "<td><code>no_socket</code></td>",
	} {
		if !strings.Contains(p, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, bad := range []string{"<script", "http:", "https:", "url(", "src=", "@import", "NaN", "Inf", "ZgotmplZ", "%!"} {
		if i := strings.Index(p, bad); i >= 0 {
			t.Errorf("%q in the page: %s", bad, p[max(0, i-60):i+60])
		}
	}
}

func TestARunWithoutGROOrLossOrIntervalsIsShownAsItIs(t *testing.T) {
	report := func(kind string, elapsed, interval float64, more string) string {
		return fmt.Sprintf(`{"type":%q,"iface":"eth1","elapsed_s":%g,"interval_s":%g,"rx":{"packets":1000,"bytes":60000,"pps":1000,"bps":480000}%s}`+"\n", kind, elapsed, interval, more)
	}
	for _, c := range []struct {
		name, text, charts string
		want               []string
	}{
		{"plain", report("interval", 1, 1, "") + report("summary", 1, 1, ""), "[packets bits loss cpu processors fill]", []string{"nothing was lost", "Nothing was lost."}},
		{"a summary alone", report("summary", 1, 1, ""), "[]", []string{"no intervals", "1,000 packets"}},
		{"intervals without length", report("interval", 0, 0, "") + report("interval", 0, 0, ""), "[]", []string{"2,000 packets"}},
		{"one of them without length", report("interval", 0, 0, "") + report("interval", 2, 2, ""), "[packets bits loss cpu processors fill]", []string{"2,000 packets"}},
		{"the largest numbers", report("interval", 1e11, 1e-6, `,"drops":{"x":18446744073709551615},"cpu":{"user_s":1e12}`), "[packets bits loss cpu processors fill]", []string{"x"}},
		{"fields of tomorrow", report("interval", 1, 1, `,"tomorrow":{"a":[1]},"drops":null,"queues":null`), "[packets bits loss cpu processors fill]", []string{"1,000 packets"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := write(t, c.text)
			if got := fmt.Sprint(idsOf(p)); got != c.charts {
				t.Errorf("charts %s, want %s", got, c.charts)
			}
			for _, want := range c.want {
				if !strings.Contains(p, want) {
					t.Errorf("no %q in the page", want)
				}
			}
			for _, bad := range []string{"NaN", "Inf", "%!"} {
				if strings.Contains(p, bad) {
					t.Errorf("%q in the page", bad)
				}
			}
		})
	}
}

func TestALongRunHasAsManyPointsAsAPictureCanShowAndLosesNoPacket(t *testing.T) {
	run, err := Read(strings.NewReader(lines(t, 2*pointsMost+1, true)))
	if err != nil {
		t.Fatal(err)
	}
	list, each := points(run.Intervals)
	if each != 3 || len(list) > pointsMost {
		t.Errorf("%d points of %d intervals each", len(list), each)
	}
	var packets uint64
	for _, r := range list {
		packets += r.Rx.Packets
	}
	if packets != run.Summary.Rx.Packets {
		t.Errorf("%d packets in the points, %d in the run", packets, run.Summary.Rx.Packets)
	}
	if p := write(t, lines(t, 2*pointsMost+1, true)); !strings.Contains(p, "each point of a chart is 3 of them") || !strings.Contains(p, "time since the start, minutes") {
		t.Error("the page does not say what its points are")
	}
}

func TestManyReasonsShareTheLinesThatThereAre(t *testing.T) {
	var drops []string
	for i := range 10 {
		drops = append(drops, fmt.Sprintf(`"reason%d":%d`, i, 100-i))
	}
	p := write(t, `{"type":"interval","elapsed_s":1,"interval_s":1,"drops":{`+strings.Join(drops, ",")+"}}\n")
	for _, want := range []string{"<span>reason4</span>", "<span>5 others</span>", "5 others: 465 pps", "<td><code>reason9</code></td>"} {
		if !strings.Contains(p, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	if strings.Contains(p, "<span>reason5</span>") {
		t.Error("reason5 has a line of its own: want 6 lines")
	}
}

func TestAxesHaveRoundTicksThatReachBeyondTheValues(t *testing.T) {
	for _, c := range []struct {
		top   float64
		si    bool
		want  string
		scale string
	}{
		{0, true, "[0 0.2 0.4 0.6 0.8 1]", "x"},
		{1, false, "[0 0.2 0.4 0.6 0.8 1]", "x"},
		{3, false, "[0 1 2 3]", "x"},
		{999, true, "[0 200 400 600 800 1000]", "x"},
		{7_707_000, true, "[0 2 4 6 8]", "Mx"},
		{7_707_000, false, "[0 2e+06 4e+06 6e+06 8e+06]", "x"},
		{1.2e12, true, "[0 0.5 1 1.5]", "Tx"},
		{0.03, false, "[0 0.01 0.02 0.03]", "x"},
		{1e26, false, "[0 2e+25 4e+25 6e+25 8e+25 1e+26]", "x"},
	} {
		top, factor, unit := chart{Unit: "x", SI: c.si, Lines: []series{{values: []float64{math.NaN(), c.top, 0}}}}.valueAxis()
		if got := fmt.Sprint(ticks(0, top/factor, 5)); got != c.want || unit != c.scale || top < c.top {
			t.Errorf("%v: %s %s up to %v, want %s %s", c.top, got, unit, top, c.want, c.scale)
		}
	}
}

func FuzzNoInputBreaksThePage(f *testing.F) {
	f.Add([]byte(`{"type":"interval","iface":"a","elapsed_s":1,"interval_s":1,"rx":{"packets":5},"gro":{"in":2,"out":1},"queues":[{"queue":1,"fill":{"size":4}}]}` + "\n"))
	f.Add([]byte(`{"type":"summary","ledger":{"total":-5}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		run, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := Write(&b, run, "x"); err != nil {
			t.Fatal(err)
		}
		for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAll(b.Bytes(), -1) {
			if regexp.MustCompile(`[ "](NaN|[+-]?Inf)[ "]`).Match(svg) {
				t.Fatalf("a number that is none in %s", svg)
			}
		}
	})
}

func TestThePageDrawsLatencyWhereItWasMeasured(t *testing.T) {
	text := lines(t, 5, true)
	if strings.Contains(write(t, text), `id="latency"`) {
		t.Error("a run without latencies has a chart of them")
	}
	var with strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		l := fmt.Sprintf(`{"latency":{"packets":1000,"p50_s":1e-5,"p99_s":%de-5,"p99_9_s":1e-4,"max_s":0.01},`, i+2)
		if i == 2 {
			l = `{"latency":{"packets":0},` // nothing came
		}
		fmt.Fprintln(&with, l+line[1:])
	}
	page := write(t, with.String())
	chart := page[strings.Index(page, `id="latency"`):]
	for _, want := range []string{"p50: 10 us", "p99: 20 us", "p99: 30 us", "p99.9: 100 us"} {
		if !strings.Contains(chart, want) {
			t.Errorf("the chart does not say %q", want)
		}
	}
	if strings.Contains(chart[:strings.Index(chart, "</svg>")], "NaN") {
		t.Error("the interval without packets is drawn")
	}
	if !strings.Contains(page, "p99 of 1,000 packets") {
		t.Error("no tile of the summary's p99")
	}
}
