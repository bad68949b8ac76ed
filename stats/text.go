package stats

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Line is a report in one line, for an interval.
func (r Report) Line() string {
	level, size := r.fill()
	s := fmt.Sprintf("%6.1fs  %9s  %10s  batch %5.1f  %5.0f ns/pkt  fill %3.0f%%  dropped %s  lost %d",
		r.Elapsed, SI(r.Rx.PPS, "pps"), SI(r.Rx.BPS, "bit/s"), r.batch(), r.CPU.NsPerPacket,
		100*float64(level)/float64(max(size, 1)), Count(r.Dropped()), r.Ledger.Lost)
	if r.Out != "" {
		s = r.way() + " " + s
	}
	if r.GRO.In > 0 {
		s += fmt.Sprintf("  gro %.1f:1", ratio(r.GRO.In, r.GRO.Out))
	}
	if r.Latency != nil {
		s += "  latency " + r.Latency.String()
	}
	return s
}

// WriteText writes the report as a block of lines: the summary of a run.
func (r Report) WriteText(w io.Writer) {
	p := func(label, format string, args ...any) {
		fmt.Fprintf(w, "%-11s "+format+"\n", append([]any{label}, args...)...)
	}
	p("interface", "%s, %s", r.way(), r.Mode.Attach+"+"+r.Mode.Bind)
	if r.Mode.Reason != "" {
		p("", "%s", r.Mode.Reason)
	}
	for i, s := range r.Mode.Settings {
		p([]string{"settings", ""}[min(i, 1)], "%s", s)
	}
	p("received", "%s packets, %s bytes in %.2f s: %s, %s", Count(r.Rx.Packets), Count(r.Rx.Bytes), r.Interval, SI(r.Rx.PPS, "pps"), SI(r.Rx.BPS, "bit/s"))
	p("delivered", "%s packets that were %s on the wire, %s bytes", Count(r.Delivered.Packets), Count(r.Delivered.Segments), Count(r.Delivered.Bytes))
	if r.GRO.In > 0 {
		p("gro", "%s in, %s out: %.1f to 1", Count(r.GRO.In), Count(r.GRO.Out), ratio(r.GRO.In, r.GRO.Out))
		if len(r.GRO.Reasons) > 0 {
			p("", "%s", reasons(r.GRO.Reasons))
		}
	}
	p("batch", "%.1f packets a poll; %s polls, %s at full budget, %s sleeps, %s wakeups", r.batch(), Count(r.total(func(q QueueReport) uint64 { return q.Polls })),
		Count(r.total(func(q QueueReport) uint64 { return q.Squeezes })), Count(r.total(func(q QueueReport) uint64 { return q.Sleeps })), Count(r.total(func(q QueueReport) uint64 { return q.Wakeups })))
	p("processor", "%.2f s user + %.2f s system = %.0f ns a packet", r.CPU.User, r.CPU.Sys, r.CPU.NsPerPacket)
	if l := r.Latency; l != nil {
		p("latency", "%s", l)
		p("", "of %s stamped packets; %s without a stamp", Count(l.Packets), Count(l.Unstamped))
	}
	p("dropped", "%s by xrx%s", Count(r.Dropped()-r.Kernel.Lost()), bracket(reasons(r.Drops)))
	p("", "%s by the kernel (rx_dropped %s, rx_ring_full %s), rx_invalid_descs %s, rx_fill_ring_empty_descs %s", Count(r.Kernel.Lost()),
		Count(r.Kernel.RxDropped), Count(r.Kernel.RxRingFull), Count(r.Kernel.RxInvalidDescs), Count(r.Kernel.RxFillRingEmptyDescs))
	if s := reasons(r.Consumers.Packets); s != "" {
		p("handlers", "%s", s)
	}
	if len(r.Consumers.Kept)+len(r.Consumers.Missed) > 0 {
		p("taps", "frames kept: %s; packets missed: %s", orNone(reasons(r.Consumers.Kept)), orNone(reasons(r.Consumers.Missed)))
	}
	if r.Out != "" || r.Tx.Packets > 0 {
		what, changed := r.Tx.text()
		p("forwarded", "%s", what)
		p("", "%s", changed)
	}
	if s := reasons(r.Consumers.Panics); s != "" {
		p("panics", "%s", s)
	}
	if s := reasons(r.XDP); s != "" {
		p("xdp", "%s", s)
	}
	if s := reasons(r.Events); s != "" {
		p("events", "%s", s)
	}
	for i, w := range r.Workers {
		p([]string{"workers", ""}[min(i, 1)], "%v", w)
	}
	level, size := r.fill()
	p("fill ring", "%d of %d; found empty %s times, short of frames %s times", level, size,
		Count(r.total(func(q QueueReport) uint64 { return q.Fill.Empty })), Count(r.total(func(q QueueReport) uint64 { return q.Fill.Short })))
	p("frames", "%s", r.Ledger)
	if len(r.Queues) > 1 {
		for _, q := range r.Queues {
			p(fmt.Sprintf("queue %d", q.Queue), "%s packets, %s, batch %.1f, kernel drops %s", Count(q.Rx.Packets), SI(q.Rx.PPS, "pps"), q.Batch, Count(q.Kernel.Lost()))
		}
	}
}

// way is the interface, and where packets went on to.
func (r Report) way() string {
	if r.Out == "" {
		return r.Iface
	}
	return r.Iface + " to " + r.Out
}

func (r Report) total(f func(QueueReport) uint64) (n uint64) {
	for _, q := range r.Queues {
		n += f(q)
	}
	return n
}

func (r Report) batch() float64 {
	return ratio(r.Rx.Packets, r.total(func(q QueueReport) uint64 { return q.Polls }))
}

func (r Report) fill() (level, size int) {
	for _, q := range r.Queues {
		level += q.Fill.Level
		size += q.Fill.Size
	}
	return level, size
}

func ratio(a, b uint64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

func reasons(m map[string]uint64) string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if m[a] != m[b] {
			if m[a] > m[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%s %s", k, Count(m[k]))
	}
	return strings.Join(keys, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func bracket(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// Count writes a number with its thousands apart: 1,234,567.
func Count(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// SI writes a rate with a decimal prefix and four figures: 3.214 Mpps.
func SI(v float64, unit string) string {
	for _, p := range []struct {
		at   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= p.at {
			return fmt.Sprintf("%.4g %s%s", v/p.at, p.name, unit)
		}
	}
	return fmt.Sprintf("%.0f %s", v, unit)
}
