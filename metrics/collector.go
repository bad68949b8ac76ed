// Package metrics shows what a receiver counts to Prometheus. Names, units and help come from stats.Catalog; what each
// metric is, docs/METRICS.md lists. Only the command imports this package: the library has no dependency on Prometheus.
package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"xrx/bpf"
	"xrx/stats"
	"xrx/txring"
	"xrx/umem"
)

// Source is the receiver that is shown: *xrx.Receiver.
type Source interface {
	Snapshot() stats.Snapshot // called once for each scrape
	Registered() bool         // whether every queue receives now
}

// Collector collects the counters of one receiver. Every metric has the label interface; those of a queue have queue.
type Collector struct {
	source  Source
	began   time.Time
	mode    func() stats.Mode
	values  []value
	modeOf  *prometheus.Desc
	startOf *prometheus.Desc
}

// value is an entry of the catalog as Prometheus wants it.
type value struct {
	*stats.Desc
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	known []string // reasons that are shown from the start, with 0: a series must be there before its first event is
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a collector for the receiver on iface, which was opened at began in this mode: asked at each scrape,
// for a receiver that opens its interface again may get another.
func NewCollector(iface string, mode func() stats.Mode, began time.Time, source Source) *Collector {
	c := &Collector{source: source, began: began, mode: mode}
	of := prometheus.Labels{"interface": iface}
	c.modeOf = prometheus.NewDesc("xrx_mode_info", "The mode that was negotiated, and why it is not a better one; always 1.", []string{"attach", "bind", "reason"}, of)
	c.startOf = prometheus.NewDesc("xrx_start_time_seconds", "When receiving began, since the epoch.", nil, of)
	descs := map[string]*prometheus.Desc{}
	for i := range stats.Catalog {
		d := &stats.Catalog[i]
		if descs[d.Metric] == nil {
			descs[d.Metric] = prometheus.NewDesc(d.Metric, d.Help, labelNames(d), of)
		}
		v := value{Desc: d, desc: descs[d.Metric], kind: prometheus.CounterValue, known: knownReasons[d.JSON]}
		if d.PerWorker() && d.JSON == "drops" {
			v.known = stats.WorkerDrops
		}
		if d.Kind == stats.Gauge {
			v.kind = prometheus.GaugeValue
		}
		c.values = append(c.values, v)
	}
	return c
}

func labelNames(d *stats.Desc) (names []string) {
	switch {
	case d.PerQueue():
		names = append(names, "queue")
	case d.PerWorker():
		names = append(names, "worker")
	}
	if d.Label != "" {
		names = append(names, d.Label)
	}
	return names
}

// knownReasons are, by field of the JSON line, reasons whose first occurrence an alert must see. Why GRO did not merge
// is no fault: those appear when they happen.
var knownReasons = map[string][]string{"xdp": xdpReasons(), "drops": dropReasons(), "events": stats.EventNames[:], "tx.faults": completionFaults()}

func xdpReasons() (list []string) {
	for r := range bpf.NumReasons {
		list = append(list, r.String())
	}
	return list
}

func completionFaults() (list []string) {
	for _, f := range []umem.Fault{umem.BadAddress, umem.BadMagic, umem.NotHome, umem.NotSending} {
		list = append(list, f.String())
	}
	return list
}

func dropReasons() []string {
	list := []string{"cut_chain", "panic", "after_panic"}
	for r := range txring.NumReasons {
		list = append(list, r.String())
	}
	list = append(list, stats.WorkerDrops...)
	for f := umem.NoFault + 1; f < umem.NotSending; f++ { // that one is of completions
		list = append(list, "descriptor_"+f.String())
	}
	return list
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.modeOf
	ch <- c.startOf
	last := ""
	for _, v := range c.values {
		if v.Metric != last { // what shares a metric stands together
			ch <- v.desc
		}
		last = v.Metric
	}
}

// Collect implements prometheus.Collector with one Snapshot.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	s := c.source.Snapshot()
	mode := c.mode()
	ch <- prometheus.MustNewConstMetric(c.modeOf, prometheus.GaugeValue, 1, mode.Attach, mode.Bind, mode.Reason)
	ch <- prometheus.MustNewConstMetric(c.startOf, prometheus.GaugeValue, float64(c.began.UnixNano())/1e9)
	for i := range c.values {
		c.values[i].collect(&s, ch)
	}
}

func (v *value) collect(s *stats.Snapshot, ch chan<- prometheus.Metric) {
	emit := func(of int, label string, n float64) {
		var labels []string
		if of >= 0 {
			labels = append(labels, strconv.Itoa(of))
		}
		if v.Label != "" {
			labels = append(labels, label)
		}
		ch <- prometheus.MustNewConstMetric(v.desc, v.kind, n, labels...)
	}
	type series struct {
		of    int // queue or worker
		label string
	}
	seen := map[series]bool{}
	v.Each(s, func(of int, label string, n float64) {
		seen[series{of, label}] = true
		emit(of, label, n)
	})
	for _, reason := range v.known {
		for _, of := range v.owners(s) {
			if !seen[series{of, reason}] {
				emit(of, reason, 0)
			}
		}
	}
}

// owners are the queues or workers that have v, or -1 for the whole.
func (v *value) owners(s *stats.Snapshot) (list []int) {
	if v.PerWorker() {
		for _, w := range s.Workers {
			list = append(list, w.Worker)
		}
		return list
	}
	if !v.PerQueue() {
		return []int{-1}
	}
	for _, q := range s.Queues {
		list = append(list, q.Queue)
	}
	return list
}
