package stats

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"xrx/umem"
)

var update = flag.Bool("update", false, "write the golden files anew")

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// snapshots are two moments of a receiver with two queues, two seconds apart, the first one second after it began.
func snapshots() (from, to Snapshot) {
	ledger := umem.Ledger{Total: 4096, Free: 2000, Filling: 2048, Received: 1, Held: 7, Delivered: 40}
	from = Snapshot{At: t0.Add(time.Second), CPU: CPU{User: time.Second, Sys: 2 * time.Second}, XDP: map[string]uint64{"redirected": 100, "not_bound": 5},
		Queues: []Queue{
			{Queue: 0, Packets: 100, Bytes: 6000, Polls: 10, OutPackets: 90, OutSegments: 100, OutBytes: 6000, GROIn: 100, GROOut: 90,
				GRO: map[string]uint64{"merged": 10}, Drops: map[string]uint64{"descriptor_not_filling": 1}, Kernel: Kernel{RxDropped: 3}, FillPosted: 200},
			{Queue: 2},
		}}
	to = Snapshot{At: t0.Add(3 * time.Second), CPU: CPU{User: 1500 * time.Millisecond, Sys: 2250 * time.Millisecond}, XDP: map[string]uint64{"redirected": 3_000_100, "not_bound": 5, "pass": 12},
		Queues: []Queue{
			{Queue: 0, Packets: 2_000_100, Bytes: 2_000_006_000, Polls: 50_010, Squeezes: 7, Sleeps: 30, Wakeups: 2, OutPackets: 100_090, OutSegments: 2_000_099, OutBytes: 1_900_006_000,
				FillPosted: 2_000_200, FillEmpty: 3, FillShort: 1, FillLevel: 2000, FillSize: 2048, RxLevel: 48, GROIn: 2_000_100, GROOut: 100_090, GRO: map[string]uint64{"merged": 1_900_010, "flags": 30},
				Drops: map[string]uint64{"descriptor_not_filling": 1, "descriptor_bad_length": 2}, Kernel: Kernel{RxDropped: 13, RxRingFull: 4, RxFillRingEmptyDescs: 9},
				CPU: CPU{User: 400 * time.Millisecond, Sys: 200 * time.Millisecond}, Ledger: ledger},
			{Queue: 2, Packets: 1_000_000, Bytes: 60_000_000, Polls: 20_000, OutPackets: 1_000_000, OutSegments: 1_000_000, OutBytes: 60_000_000, FillPosted: 1_000_000, FillLevel: 1024, FillSize: 2048,
				Drops: map[string]uint64{"descriptor_bad_length": 1}, Kernel: Kernel{RxRingFull: 6, RxInvalidDescs: 1}, Ledger: umem.Ledger{Total: 4096, Free: 4095, Lost: 1}},
		}}
	return from, to
}

func sample() Report {
	from, to := snapshots()
	return NewReport("interval", "b0", Mode{Attach: "native", Bind: "copy", Reason: "the driver has no AF_XDP zero-copy"}, t0, from, to)
}

func TestAReportIsTheDifferenceOfTwoSnapshots(t *testing.T) {
	r := sample()
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"type", r.Type, "interval"},
		{"iface", r.Iface, "b0"},
		{"elapsed since it began", r.Elapsed, 3.0},
		{"interval", r.Interval, 2.0},
		{"rx", r.Rx, Rx{3_000_000, 2_060_000_000, 1_500_000, 8_240_000_000}},
		{"delivered", r.Delivered, Delivered{1_100_000, 2_999_999, 1_960_000_000}},
		{"gro in", r.GRO.In, uint64(2_000_000)},
		{"gro out", r.GRO.Out, uint64(100_000)},
		{"gro reasons", r.GRO.Reasons, map[string]uint64{"merged": 1_900_000, "flags": 30}},
		{"drops that happened in between", r.Drops, map[string]uint64{"descriptor_bad_length": 3}},
		{"outcomes of the XDP program", r.XDP, map[string]uint64{"redirected": 3_000_000, "pass": 12}},
		{"kernel", r.Kernel, Kernel{RxDropped: 10, RxInvalidDescs: 1, RxRingFull: 10, RxFillRingEmptyDescs: 9}},
		{"all that was dropped", r.Dropped(), uint64(23)},
		{"the ledger is that of the later moment", r.Ledger, umem.Ledger{Total: 8192, Free: 6095, Filling: 2048, Received: 1, Held: 7, Delivered: 40, Lost: 1}},
		{"processor", r.CPU, CPUReport{User: 0.5, Sys: 0.25, NsPerPacket: 250}},
		{"queues", len(r.Queues), 2},
		{"queue 0 rx", r.Queues[0].Rx, Rx{2_000_000, 2_000_000_000, 1_000_000, 8_000_000_000}},
		{"queue 0 batch", r.Queues[0].Batch, 40.0},
		{"queue 0 fill", r.Queues[0].Fill, Fill{2000, 2048, 2_000_000, 3, 1}},
		{"queue 0 processor", r.Queues[0].CPU, CPUReport{User: 0.4, Sys: 0.2, NsPerPacket: 300}},
		{"queue 0 drops", r.Queues[0].Drops, map[string]uint64{"descriptor_bad_length": 2}},
		{"queue 2 keeps its number", r.Queues[1].Queue, 2},
		{"queue 2 was not running", r.Queues[1].CPU, CPUReport{}},
		{"queue 2 batch", r.Queues[1].Batch, 50.0},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
}

// A summary is made from the zero Snapshot; a queue may be new; a socket or thread may have been replaced in between.
func TestAReportStaysSaneWhereCountersBegin(t *testing.T) {
	_, to := snapshots()
	r := NewReport("summary", "b0", Mode{}, t0, Snapshot{At: t0}, to)
	if r.Rx.Packets != 3_000_100 || r.Interval != 3 || r.Kernel.RxDropped != 13 || r.CPU.User != 1.5 {
		t.Errorf("from nothing: %+v", r)
	}
	from, to := snapshots()
	to.Queues[0].Kernel = Kernel{} // the socket is closed
	from.Queues[0].CPU = CPU{User: time.Hour}
	r = NewReport("summary", "b0", Mode{}, t0, from, to)
	if r.Kernel.RxDropped != 0 || r.Queues[0].CPU.User != 0.4 {
		t.Errorf("counters that began again: kernel %+v, cpu %+v", r.Kernel, r.Queues[0].CPU)
	}
}

func TestNoReportContainsANumberThatIsNone(t *testing.T) {
	from, to := snapshots()
	still, empty := to, Snapshot{At: t0}
	still.At = from.At
	for name, r := range map[string]Report{
		"nothing at all":             NewReport("summary", "", Mode{}, t0, empty, empty),
		"no time passed":             NewReport("interval", "b0", Mode{}, t0, from, still),
		"time went backwards":        NewReport("interval", "b0", Mode{}, t0, to, Snapshot{At: t0, Queues: to.Queues}),
		"no packets":                 NewReport("interval", "b0", Mode{}, t0, to, Snapshot{At: to.At.Add(time.Second), CPU: to.CPU, Queues: to.Queues}),
		"queues without rings":       NewReport("interval", "b0", Mode{}, t0, empty, Snapshot{At: t0.Add(1), Queues: []Queue{{}, {}}}),
		"packets without processor":  NewReport("interval", "b0", Mode{}, t0, empty, Snapshot{At: t0.Add(1), Queues: []Queue{{Packets: 1 << 62, Bytes: 1 << 63}}}),
		"a queue that was not there": NewReport("interval", "b0", Mode{}, t0, Snapshot{At: t0, Queues: from.Queues[:1]}, to),
		"an ordinary one":            sample(),
	} {
		t.Run(name, func(t *testing.T) {
			walk(t, reflect.ValueOf(r), "report")
			var b bytes.Buffer
			if err := r.WriteJSON(&b); err != nil {
				t.Errorf("JSON: %v", err)
			}
			r.WriteText(&b)
			b.WriteString(r.Line())
			for _, bad := range []string{"NaN", "Inf", "null", "!("} {
				for line := range strings.Lines(b.String()) {
					if strings.Contains(line, bad) {
						t.Errorf("%q in %s", bad, line)
					}
				}
			}
		})
	}
}

func walk(t *testing.T, v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			walk(t, v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(t, v.Index(i), path)
		}
	case reflect.Float64:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) || f < 0 {
			t.Errorf("%s is %v", path, f)
		}
	}
}

// The shape that programs read. Fields may be added; these stay, with these names and kinds.
func TestTheJSONLineHasThePromisedShape(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Count(b.String(), "\n") != 1 || !strings.HasSuffix(b.String(), "}\n") {
		t.Errorf("not one line: %q", b.String())
	}
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	object := func(keys ...string) map[string]any {
		m := map[string]any{}
		for _, k := range keys {
			m[k] = 0.0
		}
		return m
	}
	rx, kernel := object("packets", "bytes", "pps", "bps"), object("rx_dropped", "rx_invalid_descs", "rx_ring_full", "rx_fill_ring_empty_descs")
	ledger := object("total", "free", "filling", "received", "held", "delivered", "sending", "lost")
	delivered, gro, cpu := object("packets", "segments", "bytes"), object("in", "out"), object("user_s", "sys_s", "ns_per_packet")
	want := map[string]any{
		"type": "", "iface": "", "elapsed_s": 0.0,
		"mode": map[string]any{"attach": "", "bind": "", "reason": ""},
		"rx":   rx, "delivered": delivered, "gro": gro, "drops": map[string]any{"descriptor_bad_length": 0.0},
		"kernel": kernel, "ledger": ledger, "cpu": cpu,
		"queues": []any{map[string]any{"queue": 0.0, "rx": rx, "delivered": delivered, "gro": gro, "drops": object(), "kernel": kernel, "ledger": ledger, "cpu": cpu,
			"batch": 0.0, "fill": object("level", "size", "posted", "empty", "short")}},
	}
	shape(t, "", got, want)
	exact := func(what string, v any, keys ...string) {
		if have := slices.Sorted(maps.Keys(v.(map[string]any))); !slices.Equal(have, slices.Sorted(slices.Values(keys))) {
			t.Errorf("%s has %v, want exactly %v", what, have, keys)
		}
	}
	exact("ledger", got["ledger"], "total", "free", "filling", "received", "held", "delivered", "sending", "lost")
	exact("kernel", got["kernel"], "rx_dropped", "rx_invalid_descs", "rx_ring_full", "rx_fill_ring_empty_descs")
	exact("drops", got["drops"], "descriptor_bad_length")
}

// shape checks that got has every key of want, with a value of the same kind.
func shape(t *testing.T, path string, got, want any) {
	t.Helper()
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s is %T, want an object", path, got)
			return
		}
		for k, v := range w {
			if _, ok := g[k]; !ok {
				t.Errorf("%s.%s is missing", path, k)
				continue
			}
			shape(t, path+"."+k, g[k], v)
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) == 0 {
			t.Errorf("%s is %T, want a list", path, got)
			return
		}
		for _, v := range g {
			shape(t, path+"[]", v, w[0])
		}
	default:
		if reflect.TypeOf(got) != reflect.TypeOf(want) {
			t.Errorf("%s is %T, want %T", path, got, want)
		}
	}
}

func TestAReportWithoutAnythingStillHasItsObjects(t *testing.T) {
	var b bytes.Buffer
	if err := NewReport("summary", "b0", Mode{}, t0, Snapshot{At: t0}, Snapshot{At: t0}).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"drops":{}`, `"queues":[]`, `"xdp":{}`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in %s", want, b.String())
		}
	}
}

func TestTheTextIsTheGoldenOne(t *testing.T) {
	r := sample()
	quiet := NewReport("summary", "b0", Mode{Attach: "skb", Bind: "copy"}, t0, Snapshot{At: t0}, Snapshot{At: t0.Add(time.Second), Queues: []Queue{{FillLevel: 64, FillSize: 64}}})
	for name, r := range map[string]Report{"busy": r, "quiet": quiet} {
		var b bytes.Buffer
		r.WriteText(&b)
		b.WriteString(r.Line() + "\n")
		path := "testdata/" + name + ".txt"
		if *update {
			if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s (-update writes it anew):\n%s\nwant:\n%s", name, b.String(), want)
		}
	}
}

func TestNumbersAreWrittenForPeople(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 1234567: "1,234,567", 100000: "100,000", math.MaxUint64: "18,446,744,073,709,551,615"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) is %q, want %q", n, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0 pps", 0.4: "0 pps", 999: "999 pps", 1000: "1 kpps", 1234: "1.234 kpps", 12345: "12.35 kpps", 999_999: "1000 kpps",
		3_214_000: "3.214 Mpps", 8.24e9: "8.24 Gpps", 1e12: "1000 Gpps"} {
		if got := SI(v, "pps"); got != want {
			t.Errorf("SI(%v) is %q, want %q", v, got, want)
		}
	}
}
