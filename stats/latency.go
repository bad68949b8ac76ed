package stats

import (
	"fmt"
	"time"
)

// Latency is how old stamped packets were when the consumer got them (xrx gen --stamp, xrx run --latency): times in
// seconds, to three figures, from an HDR histogram. Segments that GRO merged count one by one.
type Latency struct {
	Packets   uint64  `json:"packets"`   // stamped
	Unstamped uint64  `json:"unstamped"` // without a stamp that makes sense
	Min       float64 `json:"min_s"`
	P50       float64 `json:"p50_s"`
	P90       float64 `json:"p90_s"`
	P99       float64 `json:"p99_s"`
	P999      float64 `json:"p99_9_s"`
	P9999     float64 `json:"p99_99_s"`
	Max       float64 `json:"max_s"`
}

// String is one line: what half, 99 % and 99.9 % of packets stayed below, and the slowest.
func (l *Latency) String() string {
	if l.Packets == 0 {
		return fmt.Sprintf("no stamped packet, %s without a stamp", Count(l.Unstamped))
	}
	return fmt.Sprintf("p50 %s, p99 %s, p99.9 %s, max %s", short(l.P50), short(l.P99), short(l.P999), short(l.Max))
}

// short writes seconds with three figures and a unit.
func short(s float64) string {
	d := time.Duration(s * 1e9)
	switch {
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d)
	case d < time.Millisecond:
		return fmt.Sprintf("%.3g us", s*1e6)
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", s*1e3)
	}
	return fmt.Sprintf("%.3g s", s)
}

// Worst puts latencies of times that follow each other together: counts are summed, and of each percentile the worst is
// taken, since that of the whole can't be known from those of its parts.
func (l *Latency) Worst(o *Latency) *Latency {
	switch {
	case o == nil:
		return l
	case l == nil, l.Packets == 0 && l.Unstamped == 0:
		return o
	case o.Packets == 0:
		m := *l
		m.Unstamped += o.Unstamped
		return &m
	case l.Packets == 0:
		return o.Worst(l)
	}
	return &Latency{Packets: l.Packets + o.Packets, Unstamped: l.Unstamped + o.Unstamped, Min: min(l.Min, o.Min), P50: max(l.P50, o.P50),
		P90: max(l.P90, o.P90), P99: max(l.P99, o.P99), P999: max(l.P999, o.P999), P9999: max(l.P9999, o.P9999), Max: max(l.Max, o.Max)}
}
