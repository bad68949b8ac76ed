package page

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"xrx/stats"
)

// pointsMost bounds the moments of a chart: more would be finer than the picture. Longer runs have several intervals to
// a point.
const pointsMost = 300

// linesMost bounds the lines of a chart: as many as there are colours. The smallest are put together as "other".
const linesMost = 6

// points puts intervals together so that there are at most pointsMost, and says how many make one.
func points(intervals []stats.Report) (list []stats.Report, each int) {
	each = (len(intervals) + pointsMost - 1) / pointsMost
	for group := range slices.Chunk(intervals, max(each, 1)) {
		list = append(list, merge(group))
	}
	return list, each
}

// charts draws what there is to draw over time.
func charts(list []stats.Report) []chart {
	if len(list) == 0 {
		return nil
	}
	whole := merge(list)
	if whole.Interval < least {
		return nil
	}
	of := func(name string, f func(stats.Report) float64) series { return over(list, name, f) }
	each := func(name string, f func(stats.Report) uint64) series {
		return of(name, func(r stats.Report) float64 { return perSecond(f(r), r.Interval) })
	}
	busiest := 0.0 // pps
	for _, r := range list {
		if rate := perSecond(r.Rx.Packets, r.Interval); rate > busiest {
			busiest = rate
		}
	}
	all := []chart{{ID: "packets", Title: "Packets per second", Unit: "pps", SI: true,
		Lines: []series{each("received", func(r stats.Report) uint64 { return r.Rx.Packets })}}}
	if whole.GRO.In > 0 {
		all[0].Note = "delivered: as the consumer gets them, merged by GRO"
		all[0].Lines = append(all[0].Lines, each("delivered", func(r stats.Report) uint64 { return r.Delivered.Packets }))
	}
	all = append(all, chart{ID: "bits", Title: "Throughput", Note: "from the Ethernet header on, without FCS", Unit: "bit/s", SI: true,
		Lines: []series{each("received", func(r stats.Report) uint64 { return 8 * r.Rx.Bytes })}})
	all = append(all, lossChart(list))
	all = append(all, chart{ID: "cpu", Title: "Processor time per packet", Note: "without softirq; moments below 1 % of the peak rate are left out", Unit: "ns/packet",
		Lines: []series{of("ns per packet", func(r stats.Report) float64 {
			if r.Rx.Packets == 0 || float64(r.Rx.Packets) < 0.01*busiest*r.Interval { // what idling costs is no packet's
				return math.NaN()
			}
			return 1e9 * (r.CPU.User + r.CPU.Sys) / float64(r.Rx.Packets)
		})}})
	all = append(all, chart{ID: "processors", Title: "Processors used", Note: "1 is one processor without rest", Unit: "processors", Top: 1,
		Lines: []series{of("user", func(r stats.Report) float64 { return seconds(r.CPU.User, r.Interval) }), of("system", func(r stats.Report) float64 { return seconds(r.CPU.Sys, r.Interval) })}})
	if whole.GRO.In > 0 {
		all = append(all, chart{ID: "coalescing", Title: "Coalescing by GRO", Note: "1: nothing was merged", Unit: "packets in per packet out", Top: 2,
			Lines: []series{of("in per out", func(r stats.Report) float64 {
				if r.GRO.Out == 0 {
					return math.NaN()
				}
				return float64(r.GRO.In) / float64(r.GRO.Out)
			})}})
	}
	if whole.Latency != nil {
		all = append(all, latencyChart(list))
	}
	all = append(all, chart{ID: "fill", Title: "Fill ring", Note: "the emptiest queue, as each interval ended", Unit: "% full", Top: 100,
		Lines: []series{of("level", lowestFill)}})
	if len(whole.Queues) > 1 {
		all = append(all, queueChart(list))
	}
	for i := range all {
		for _, r := range list {
			all[i].at = append(all[i].at, r.Elapsed)
		}
	}
	return all
}

func over(list []stats.Report, name string, f func(stats.Report) float64) series {
	s := series{Name: name}
	for _, r := range list {
		s.values = append(s.values, f(r))
	}
	return s
}

// perSecond is NaN where the interval has no length.
func perSecond(n uint64, interval float64) float64 { return seconds(float64(n), interval) }

func seconds(n, interval float64) float64 {
	if interval < least {
		return math.NaN()
	}
	return n / interval
}

func lowestFill(r stats.Report) float64 {
	lowest := math.NaN()
	for _, q := range r.Queues {
		if q.Fill.Size > 0 {
			if level := 100 * float64(q.Fill.Level) / float64(q.Fill.Size); !(level >= lowest) {
				lowest = level
			}
		}
	}
	return lowest
}

// lossChart has a line for each reason; one of them, at 0, where nothing was lost: that is worth seeing too.
func lossChart(list []stats.Report) chart {
	c := chart{ID: "loss", Title: "Loss per second by reason", Note: "dropped by xrx or by the kernel", Unit: "pps", SI: true}
	c.Lines = largest(list, func(r stats.Report) map[string]uint64 { return losses(r.Drops, r.Kernel) })
	if len(c.Lines) == 0 {
		c.Note = "nothing was lost"
		c.Lines = []series{over(list, "lost", func(r stats.Report) float64 { return perSecond(0, r.Interval) })}
	}
	return c
}

// latencyChart has a line for each of three percentiles. The slowest packet of all is in a tile: it would hide the rest.
func latencyChart(list []stats.Report) chart {
	c := chart{ID: "latency", Title: "Latency of stamped packets", Note: "from the packet's turn in the sender to the consumer", Unit: "us"}
	for _, l := range []struct {
		name string
		of   func(*stats.Latency) float64
	}{
		{"p50", func(l *stats.Latency) float64 { return l.P50 }},
		{"p99", func(l *stats.Latency) float64 { return l.P99 }},
		{"p99.9", func(l *stats.Latency) float64 { return l.P999 }},
	} {
		c.Lines = append(c.Lines, over(list, l.name, func(r stats.Report) float64 {
			if r.Latency == nil || r.Latency.Packets == 0 {
				return math.NaN()
			}
			return 1e6 * l.of(r.Latency)
		}))
	}
	return c
}

func queueChart(list []stats.Report) chart {
	return chart{ID: "queues", Title: "Packets per second by queue", Note: "received", Unit: "pps", SI: true, Lines: largest(list, func(r stats.Report) map[string]uint64 {
		m := map[string]uint64{}
		for _, q := range r.Queues {
			m[fmt.Sprint("queue ", q.Queue)] += q.Rx.Packets
		}
		return m
	})}
}

// largest returns a line of rates for each key, the largest first, the smallest together.
func largest(list []stats.Report, f func(stats.Report) map[string]uint64) (lines []series) {
	total := map[string]uint64{}
	for _, r := range list {
		add(total, f(r))
	}
	keys := byCount(total)
	apart := keys
	if len(keys) > linesMost {
		apart = keys[:linesMost-1]
	}
	for _, k := range apart {
		lines = append(lines, over(list, k, func(r stats.Report) float64 { return perSecond(f(r)[k], r.Interval) }))
	}
	if rest := keys[len(apart):]; len(rest) > 0 {
		lines = append(lines, over(list, fmt.Sprintf("%d others", len(rest)), func(r stats.Report) float64 {
			var n uint64
			for _, k := range rest {
				n += f(r)[k]
			}
			return perSecond(n, r.Interval)
		}))
	}
	return lines
}

// byCount returns the keys of m, the largest count first.
func byCount(m map[string]uint64) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b)) })
}
