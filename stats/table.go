package stats

import (
	"fmt"
	"slices"
	"strings"
)

// Sparks are the eight heights of a sparkline, and PlainSparks those for a terminal that has only ASCII.
const (
	Sparks      = "▁▂▃▄▅▆▇█"
	PlainSparks = "_.-=+*#@"
)

// Table returns the report of an interval as a block of lines for a terminal of width columns: what happens now, and,
// from the report since the start, what was lost in all. history is the rates of the intervals until now, in packets
// per second, oldest first; sparks draws them. No line is wider than width.
func (r Report) Table(whole Report, history []float64, sparks string, width int) []string {
	level, size := r.fill()
	lines := []string{
		fmt.Sprintf("%s, %s+%s, %.1f s, %s packets", r.Iface, r.Mode.Attach, r.Mode.Bind, r.Elapsed, Count(whole.Rx.Packets)),
		fmt.Sprintf("received  %10s  %12s  ", SI(r.Rx.PPS, "pps"), SI(r.Rx.BPS, "bit/s")),
		fmt.Sprintf("batch     %10.1f  %5.0f ns/pkt  fill %3.0f%%", r.batch(), r.CPU.NsPerPacket, percent(level, size)),
		fmt.Sprintf("dropped   %10s  %s in all%s", Count(r.Dropped()), Count(whole.Dropped()), bracket(reasons(whole.losses()))),
		fmt.Sprintf("frames    %10s  lost %d, delivered %s, held %s, free %s", Count(uint64(r.Ledger.Total)), r.Ledger.Lost,
			Count(uint64(r.Ledger.Delivered)), Count(uint64(r.Ledger.Held)), Count(uint64(r.Ledger.Free))),
	}
	lines[1] += Sparkline(history, sparks, width-len(lines[1]))
	if r.GRO.In > 0 {
		lines[2] += fmt.Sprintf("  gro %.1f:1", ratio(r.GRO.In, r.GRO.Out))
	}
	if len(r.Queues) > 1 {
		lines = append(lines, "", fmt.Sprintf("%5s     %10s  %12s  %5s  %4s  %12s", "queue", "received", "", "batch", "fill", "dropped"))
		for _, q := range r.Queues {
			lines = append(lines, fmt.Sprintf("%5d     %10s  %12s  %5.1f  %3.0f%%  %12s", q.Queue, SI(q.Rx.PPS, "pps"), SI(q.Rx.BPS, "bit/s"),
				q.Batch, percent(q.Fill.Level, q.Fill.Size), Count(q.Dropped())))
		}
	}
	if len(r.Workers) > 0 {
		lines = append(lines, "", fmt.Sprintf("%6s    %14s  %7s  %7s  %6s  %12s", "worker", "packets", "backlog", "highest", "held", "dropped"))
		for _, w := range r.Workers {
			lines = append(lines, fmt.Sprintf("%6d    %14s  %7s  %7s  %6s  %12s", w.Worker, Count(w.Packets), Count(uint64(w.Backlog)),
				Count(uint64(w.HighWater)), Count(uint64(w.Held)), Count(w.Dropped())))
		}
	}
	for i, l := range lines {
		lines[i] = clip(l, width)
	}
	return lines
}

// Dropped returns all packets of the queue that were dropped, by xrx and by the kernel.
func (q QueueReport) Dropped() (n uint64) {
	for _, v := range q.Drops {
		n += v
	}
	return n + q.Kernel.Lost()
}

// losses are the packets dropped, by reason, whoever dropped them.
func (r Report) losses() map[string]uint64 {
	m := map[string]uint64{}
	for k, v := range r.Drops {
		m[k] += v
	}
	for k, v := range map[string]uint64{"rx_dropped": r.Kernel.RxDropped, "rx_ring_full": r.Kernel.RxRingFull} {
		if v > 0 {
			m[k] += v
		}
	}
	return m
}

// Sparkline draws the last values that fit into width columns, the highest of them as high as sparks go.
func Sparkline(values []float64, sparks string, width int) string {
	steps := []rune(sparks)
	if width <= 0 || len(values) == 0 {
		return ""
	}
	values = values[max(0, len(values)-width):]
	top := slices.Max(values)
	var b strings.Builder
	for _, v := range values {
		i := 0
		if top > 0 && v > 0 {
			i = min(int(v/top*float64(len(steps))), len(steps)-1)
		}
		b.WriteRune(steps[i])
	}
	return b.String()
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(max(whole, 1)) }

// clip cuts a line off at width columns, each character being one.
func clip(s string, width int) string {
	n := 0
	for i := range s {
		if n++; n > width {
			return s[:i]
		}
	}
	return s
}
