package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"

	"xrx/gro"
	"xrx/stats"
)

//go:embed page.html
var source string

var page = template.Must(template.New("page").Parse(source))

// row is a line of a table: a name, its number, and what it is.
type row struct{ Name, Count, Share, Who, What string }

// tile is a number worth its own box.
type tile struct {
	Name, Value, Note string
	Bad               bool
}

type contents struct {
	Name, Iface, Mode, Reason string
	Length                    string
	Notes                     []string
	Tiles                     []tile
	Charts                    []chart
	Losses, GRO, XDP, Ledger  []row
	Queues                    []stats.QueueReport
	Workers                   []stats.WorkerReport
	WorkerDrops               []string // reasons, a column each
	Consumers                 []consumer
	Whole                     stats.Report
}

// consumer is a line of the table of handlers and taps.
type consumer struct {
	Name   string
	Counts [4]string // packets, panics, missed, frames kept; a dash where there is no such count
}

// Write writes the page of a run; name is the file that it was read from.
func Write(w io.Writer, run *Run, name string) error {
	whole := run.Whole()
	list, each := points(run.Intervals)
	c := contents{Name: name, Iface: whole.Iface, Mode: whole.Mode.Attach + "+" + whole.Mode.Bind, Reason: whole.Mode.Reason, Whole: whole,
		Length: length(whole.Interval), Charts: charts(list), Tiles: tiles(whole), Queues: whole.Queues, Workers: whole.Workers, WorkerDrops: stats.WorkerDrops, Consumers: consumers(whole.Consumers),
		Losses: lossRows(whole), GRO: groRows(whole), XDP: countRows(whole.XDP), Ledger: ledgerRows(whole)}
	if run.CutOff > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("Line %d, the last, is cut off and left out.", run.CutOff))
	}
	if run.Summary == nil {
		c.Notes = append(c.Notes, "The run has no summary: it did not end in order. Totals are those of its intervals.")
	}
	if len(c.Charts) == 0 {
		c.Notes = append(c.Notes, "The run has no intervals, so there is nothing to draw: --interval of xrx run sets their length.")
	}
	if each > 1 {
		c.Notes = append(c.Notes, fmt.Sprintf("There are %s intervals: each point of a chart is %d of them.", stats.Count(uint64(len(run.Intervals))), each))
	}
	return page.Execute(w, c)
}

// length writes seconds for people.
func length(s float64) string {
	switch {
	case s >= 3600:
		return fmt.Sprintf("%d h %02d min", int(s)/3600, int(s)/60%60)
	case s >= 120:
		return fmt.Sprintf("%d min %02d s", int(s)/60, int(s)%60)
	}
	return fmt.Sprintf("%.4g s", s)
}

func tiles(r stats.Report) []tile {
	lost := r.Dropped()
	list := []tile{
		{Name: "received", Value: stats.SI(r.Rx.PPS, "pps"), Note: stats.Count(r.Rx.Packets) + " packets"},
		{Name: "throughput", Value: stats.SI(r.Rx.BPS, "bit/s"), Note: stats.Count(r.Rx.Bytes) + " bytes"},
		{Name: "lost", Value: share(lost, lost+r.Rx.Packets), Note: stats.Count(lost) + " packets", Bad: lost > 0},
		{Name: "processor", Value: fmt.Sprintf("%.4g ns", r.CPU.NsPerPacket), Note: fmt.Sprintf("a packet; %.2f s user, %.2f s system", r.CPU.User, r.CPU.Sys)},
	}
	if r.GRO.In > 0 {
		list = append(list, tile{Name: "coalescing", Value: fmt.Sprintf("%.1f to 1", ratio(float64(r.GRO.In), float64(r.GRO.Out))), Note: stats.Count(r.GRO.In) + " in, " + stats.Count(r.GRO.Out) + " out"})
	}
	if l := r.Latency; l != nil && l.Packets > 0 {
		list = append(list, tile{Name: "latency", Value: fmt.Sprintf("%.4g us", 1e6*l.P99), Note: "p99 of " + stats.Count(l.Packets) + " packets; " + l.String()})
	}
	return append(list, tile{Name: "ledger", Value: fmt.Sprintf("%d lost", r.Ledger.Lost), Note: fmt.Sprintf("of %s frames", stats.Count(uint64(max(r.Ledger.Total, 0)))), Bad: r.Ledger.Lost != 0})
}

// share writes part of whole in percent. What is not nothing is not written as 0.
func share(part, whole uint64) string {
	p := 100 * ratio(float64(part), float64(whole))
	if part > 0 && p < 0.0001 {
		return "< 0.0001 %"
	}
	return fmt.Sprintf("%.4g %%", p)
}

// described is, by field of a JSON line, who counts it and what it is.
func described(field string) (who, what string) {
	for i := range stats.Catalog {
		if d := &stats.Catalog[i]; d.JSON == field {
			return d.Layer, d.Help
		}
	}
	return "", ""
}

func lossRows(r stats.Report) (rows []row) {
	m := losses(r.Drops, r.Kernel)
	for _, k := range byCount(m) {
		who, what := described("kernel." + k)
		if _, own := r.Drops[k]; own {
			who, what = described("drops")
		}
		rows = append(rows, row{k, stats.Count(m[k]), share(m[k], m[k]+r.Rx.Packets), who, what})
	}
	return rows
}

func groRows(r stats.Report) (rows []row) {
	docs := map[string]string{}
	for reason := range gro.NumReasons {
		docs[reason.String()] = reason.Doc()
	}
	for _, k := range byCount(r.GRO.Reasons) {
		n := r.GRO.Reasons[k]
		rows = append(rows, row{Name: k, Count: stats.Count(n), What: docs[k]})
	}
	return rows
}

func countRows(m map[string]uint64) (rows []row) {
	for _, k := range byCount(m) {
		rows = append(rows, row{Name: k, Count: stats.Count(m[k])})
	}
	return rows
}

// consumers are the handlers and taps that anything is known of, by name.
func consumers(c stats.Consumers) (list []consumer) {
	names := map[string]bool{}
	columns := []map[string]uint64{c.Packets, c.Panics, c.Missed, c.Kept}
	for _, column := range columns {
		for name := range column {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		line := consumer{Name: name}
		for i, column := range columns {
			line.Counts[i] = dash
			if n, ok := column[name]; ok {
				line.Counts[i] = stats.Count(n)
			}
		}
		list = append(list, line)
	}
	return list
}

func ledgerRows(r stats.Report) (rows []row) {
	l := r.Ledger
	for _, s := range []struct {
		name string
		n    int
		what string
	}{
		{"free", l.Free, "in the free set"}, {"filling", l.Filling, "posted to the kernel"}, {"received", l.Received, "between rx ring and delivery"},
		{"held", l.Held, "in GRO"}, {"delivered", l.Delivered, "with consumers"}, {"sending", l.Sending, "posted to a tx ring"},
		{"lost", l.Lost, "what does not add up; must be 0"}, {"total", l.Total, ""},
	} {
		rows = append(rows, row{Name: s.name, Count: fmt.Sprint(s.n), What: s.what})
	}
	return rows
}

// Num, PPS, BPS, One, NS and Fill are how the cells of the table of queues are written.
func (c contents) Num(n uint64) string      { return stats.Count(n) }
func (c contents) PPS(v float64) string     { return stats.SI(v, "pps") }
func (c contents) BPS(v float64) string     { return stats.SI(v, "bit/s") }
func (c contents) One(v float64) string     { return fmt.Sprintf("%.1f", v) }
func (c contents) Fill(f stats.Fill) string { return fmt.Sprintf("%d of %d", f.Level, f.Size) }

// Share is how much of all workers' packets this one had, in percent.
func (c contents) Share(w stats.WorkerReport) string {
	all := uint64(0)
	for _, o := range c.Workers {
		all += o.Packets
	}
	return share(w.Packets, all)
}

// dash stands for what is not known.
const dash = "\u2013"

// NS is a dash where the time is not known: a summary is made when the queue's thread has gone.
func (c contents) NS(v float64) string {
	if v == 0 {
		return dash
	}
	return c.One(v)
}
