package perfdoc

import (
	"fmt"
	"slices"
	"strings"
)

// rx is rx.json.
type rx struct {
	Machine machine `json:"machine"`
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"sample_s"`
	Loads   []struct {
		Name, Engine, Proto string
		Size, Flows, Burst  int
	} `json:"loads"`
	Cells   []cell    `json:"cells"`
	Skipped []string  `json:"skipped"`
	Trickle []trickle `json:"trickle"`
}

type cell struct {
	Receiver string   `json:"receiver"`
	Load     string   `json:"load"`
	KPPS     float64  `json:"kpps"`
	KPPSHalf float64  `json:"kpps_spread"`
	Loss     float64  `json:"loss_percent"`
	NS       float64  `json:"cpu_ns_per_packet"`
	NSHalf   float64  `json:"cpu_ns_spread"`
	Busy     float64  `json:"cpu_percent"`
	Batch    float64  `json:"batch"`
	Syscalls float64  `json:"syscalls_per_packet"`
	Crossing float64  `json:"crossing_ns"`
	Failed   string   `json:"failed"`
	Samples  []sample `json:"samples"`
}

type sample struct {
	Counted  bool    `json:"syscalls_counted"`
	Sent     float64 `json:"sent"`
	Received float64 `json:"received"`
	Seconds  float64 `json:"seconds"`
	CPU      float64 `json:"cpu_s"`
	Crossing float64 `json:"crossing_ns"`
}

// apart is the round trip of a cache line, ns, from which on two processors count as far apart: those that share a cache
// take about 60 ns, the others from 400 on.
const apart = 250

// placements are where the two processors were: the host of a virtual machine moves them about.
var placements = []struct {
	name string
	has  func(sample) bool
}{
	{"near", func(s sample) bool { return s.Crossing > 0 && s.Crossing < apart }},
	{"far", func(s sample) bool { return s.Crossing >= apart }},
}

// pair is two receivers under one load, as measured while the processors were in one placement.
type pair struct {
	place string
	x, c  cell
}

// pairs returns the two by placement, where there are samples of both; all together where it was not measured.
func (r *rx) pairs(receiver, peer, load string) (ps []pair) {
	x, okX := r.find(receiver, load)
	c, okC := r.find(peer, load)
	if !okX || !okC {
		return nil
	}
	if !slices.ContainsFunc(x.Samples, func(s sample) bool { return s.Crossing > 0 }) {
		return []pair{{"", x, c}}
	}
	for _, p := range placements {
		a, b := x.only(p.has), c.only(p.has)
		if n, m := len(a.Samples), len(b.Samples); n > 0 && m > 0 {
			ps = append(ps, pair{fmt.Sprintf("%s (%d, %d samples)", p.name, n, m), a, b})
		}
	}
	return ps
}

// only keeps some of the samples, and gives their medians.
func (c cell) only(has func(sample) bool) cell {
	c.Samples = slices.DeleteFunc(slices.Clone(c.Samples), func(s sample) bool { return !has(s) })
	median := func(of func(sample) float64) float64 {
		v := make([]float64, len(c.Samples))
		for i, s := range c.Samples {
			v[i] = of(s)
		}
		slices.Sort(v)
		if len(v) == 0 {
			return 0
		}
		return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	}
	c.KPPS = median(func(s sample) float64 { return s.Received / s.Seconds / 1e3 })
	c.Loss = median(func(s sample) float64 { return max(0, 100*(1-s.Received/s.Sent)) })
	c.NS = median(func(s sample) float64 { return s.CPU * 1e9 / max(1, s.Received) })
	c.Busy = median(func(s sample) float64 { return 100 * s.CPU / s.Seconds })
	return c
}

type trickle struct {
	Load string `json:"load"`
}

func (r *rx) find(receiver, load string) (cell, bool) {
	i := slices.IndexFunc(r.Cells, func(c cell) bool { return c.Receiver == receiver && c.Load == load && len(c.Samples) > 0 })
	if i < 0 {
		return cell{}, false
	}
	return r.Cells[i], true
}

// describe says what a load is.
func (r *rx) describe(load string) string {
	for _, l := range r.Loads {
		if l.Name == load {
			source := map[string]string{"live": "live frames", "xsk": "AF_XDP transmit", "packet": "sendmmsg"}[l.Engine]
			flows := fmt.Sprintf("%d flows", l.Flows)
			if l.Flows == 1 {
				flows = "1 flow"
			}
			if l.Burst > 1 {
				flows += fmt.Sprintf(", %d in a row", l.Burst)
			}
			return fmt.Sprintf("**%s**: %s, %s, %d bytes, %s", load, source, strings.ToUpper(l.Proto), l.Size, flows)
		}
	}
	return "**" + load + "**"
}

// receivers is a table for each load named, or of all.
func receivers(dir string, loads []string) (string, error) {
	var r rx
	if err := read(dir, "rx.json", &r); err != nil {
		return "", err
	}
	if len(loads) == 0 {
		for _, l := range r.Loads {
			loads = append(loads, l.Name)
		}
	}
	var b strings.Builder
	b.WriteString(r.Machine.from("rx.json", fmt.Sprintf("median of %d rounds of %g s ± half of the quartiles' distance", r.Rounds, r.Seconds)))
	for _, load := range loads {
		t := table("", "kpps", "loss %", "CPU ns/packet", "CPU %", "batch", "system calls/packet", "line, ns")
		n := 0
		for _, c := range r.Cells {
			if c.Load != load {
				continue
			}
			n++
			if len(c.Samples) == 0 {
				t.row(c.Receiver, "failed: "+strings.ReplaceAll(c.Failed, "\n", " "), "", "", "", "", "", "")
				continue
			}
			batch, calls, line := "", "", ""
			if c.Crossing > 0 {
				line = num(c.Crossing, 0)
			}
			if c.Batch > 0 {
				batch = num(c.Batch, 1)
			}
			if c.Samples[0].Counted {
				calls = num(c.Syscalls, 4)
			}
			t.row(c.Receiver, spread(c.KPPS, c.KPPSHalf, 0), num(c.Loss, 2), spread(c.NS, c.NSHalf, 1), num(c.Busy, 0), batch, calls, line)
		}
		if n > 0 {
			fmt.Fprintf(&b, "%s\n\n%s\n", r.describe(load), t)
		}
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "Skipped: %s\n", s)
	}
	return b.String(), nil
}

func trickles(dir string, _ []string) (string, error) {
	var r rx
	if err := read(dir, "rx.json", &r); err != nil {
		return "", err
	}
	t := table("load", "processors", "adaptive kpps", "busy kpps", "rate, adaptive to busy", "CPU, adaptive to busy", "goal: at least 0.95 at 0.50 or less")
	for _, w := range r.waiting() {
		t.row(w.load, w.place, num(w.x.KPPS, 0), num(w.c.KPPS, 0), num(w.rate, 3), num(w.cpu, 2), verdict(w.pass))
	}
	return r.Machine.from("rx.json", "medians") + t.String(), nil
}

// waiting is xrx adaptive beside busy, where packets come a few at a time.
type waiting struct {
	pair
	load      string
	rate, cpu float64 // adaptive to busy
	pass      bool
}

func (r *rx) waiting() (ws []waiting) {
	for _, l := range r.Trickle {
		for _, p := range r.pairs(groOff, groOffBusy, l.Load) {
			w := waiting{pair: p, load: l.Load, rate: p.x.KPPS / p.c.KPPS, cpu: p.x.Busy / p.c.Busy}
			w.pass = w.rate >= 0.95 && w.cpu <= 0.5
			ws = append(ws, w)
		}
	}
	return ws
}

// Rows of rx.json that goals are about.
const (
	cPoll, cBusy, testpmd = "C libxdp, poll", "C libxdp, busy", "DPDK testpmd, net_af_xdp"
	groOff, groOffBusy    = "xrx, GRO off", "xrx, GRO off, busy"
	groOn                 = "xrx, GRO on"
	bareBusy              = "xrx, GRO off, no metadata, busy" // its XDP program does what the others' do
)

// goals says which were met. A goal about which nothing was measured is left out.
func goals(dir string, _ []string) (string, error) {
	var r rx
	if err := read(dir, "rx.json", &r); err != nil {
		return "", err
	}
	t := table("goal", "processors", "xrx", "to compare with", "")
	for _, p := range r.pairs(groOff, cPoll, "udp64") {
		t.row("64 B live, GRO off: CPU per packet at most the C poll loop's", p.place, num(p.x.NS, 1)+" ns", num(p.c.NS, 1)+" ns", verdict(p.x.NS <= p.c.NS))
		t.row("the same: loss at most the C poll loop's", p.place, num(p.x.Loss, 2)+" %", num(p.c.Loss, 2)+" %", verdict(p.x.Loss <= p.c.Loss))
	}
	var g gro
	if read(dir, "gro.json", &g) == nil && g.find(verified, "T1") > 0 {
		t1 := g.find(verified, "T1")
		for _, p := range r.pairs(groOn, cPoll, "tcp1500") {
			t.row("1514 B TCP, GRO on: CPU per packet at most C loop + GRO alone (T1)", p.place, num(p.x.NS, 1)+" ns", fmt.Sprintf("%.1f + %.1f ns", p.c.NS, t1), verdict(p.x.NS <= p.c.NS+t1))
		}
	}
	for _, peer := range []string{cBusy, testpmd} {
		for _, x := range []struct{ row, text string }{{bareBusy, "64 B live, busy, no metadata"}, {groOffBusy, "64 B live, busy"}} {
			for _, p := range r.pairs(x.row, peer, "udp64") {
				t.row(x.text+": at least 0.98 of the rate of "+peer, p.place, num(p.x.KPPS, 0)+" kpps", num(p.c.KPPS, 0)+" kpps", fmt.Sprintf("%.2f, %s", p.x.KPPS/p.c.KPPS, verdict(p.x.KPPS >= 0.98*p.c.KPPS)))
				t.row("the same: loss at most "+peer+"'s", p.place, num(p.x.Loss, 2)+" %", num(p.c.Loss, 2)+" %", verdict(p.x.Loss <= p.c.Loss))
			}
		}
	}
	for _, w := range r.waiting() {
		t.row(w.load+": adaptive at least 0.95 of busy's rate at half its CPU", w.place, fmt.Sprintf("%.3f at %.2f", w.rate, w.cpu), "0.95 at 0.50", verdict(w.pass))
	}
	var s soak
	if read(dir, "soak.json", &s) == nil {
		if a, b, ok := s.compared(); ok {
			t.row(fmt.Sprintf("%.0f s at full rate: no second worse than the C poll loop's worst", s.Length), "", num(a.Worst, 3)+" %", num(b.Worst, 3)+" %", verdict(s.Pass))
		}
	}
	return r.Machine.from("rx.json", fmt.Sprintf("medians of %d rounds of %g s", r.Rounds, r.Seconds)) + t.String(), nil
}
