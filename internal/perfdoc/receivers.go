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
	Receiver string  `json:"receiver"`
	Load     string  `json:"load"`
	KPPS     float64 `json:"kpps"`
	KPPSHalf float64 `json:"kpps_spread"`
	Loss     float64 `json:"loss_percent"`
	NS       float64 `json:"cpu_ns_per_packet"`
	NSHalf   float64 `json:"cpu_ns_spread"`
	Busy     float64 `json:"cpu_percent"`
	Batch    float64 `json:"batch"`
	Syscalls float64 `json:"syscalls_per_packet"`
	Crossing float64 `json:"crossing_ns"`
	Failed   string  `json:"failed"`
	Samples  []struct {
		Counted bool `json:"syscalls_counted"`
	} `json:"samples"`
}

type trickle struct {
	Load     string  `json:"load"`
	Adaptive float64 `json:"adaptive_kpps"`
	Busy     float64 `json:"busy_kpps"`
	Rate     float64 `json:"rate_ratio"`
	CPU      float64 `json:"cpu_ratio"`
	Pass     bool    `json:"pass"`
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
	t := table("load", "adaptive kpps", "busy kpps", "rate, adaptive to busy", "CPU, adaptive to busy", "goal: at least 0.95 at 0.50 or less")
	for _, x := range r.Trickle {
		t.row(x.Load, num(x.Adaptive, 0), num(x.Busy, 0), num(x.Rate, 3), num(x.CPU, 2), verdict(x.Pass))
	}
	return r.Machine.from("rx.json", "medians") + t.String(), nil
}

// Rows of rx.json that goals are about.
const (
	cPoll, cBusy, testpmd = "C libxdp, poll", "C libxdp, busy", "DPDK testpmd, net_af_xdp"
	groOff, groOffBusy    = "xrx, GRO off", "xrx, GRO off, busy"
	groOn                 = "xrx, GRO on"
)

// goals says which were met. A goal about which nothing was measured is left out.
func goals(dir string, _ []string) (string, error) {
	var r rx
	if err := read(dir, "rx.json", &r); err != nil {
		return "", err
	}
	t := table("goal", "xrx", "to compare with", "")
	c, okC := r.find(cPoll, "udp64")
	x, okX := r.find(groOff, "udp64")
	if okC && okX {
		t.row("64 B live, GRO off: CPU per packet at most the C poll loop's", num(x.NS, 1)+" ns", num(c.NS, 1)+" ns", verdict(x.NS <= c.NS))
		t.row("the same: loss at most the C poll loop's", num(x.Loss, 2)+" %", num(c.Loss, 2)+" %", verdict(x.Loss <= c.Loss))
	}
	var g gro
	c, okC = r.find(cPoll, "tcp1500")
	if x, ok := r.find(groOn, "tcp1500"); ok && okC && read(dir, "gro.json", &g) == nil {
		if t1 := g.find(verified, "T1"); t1 > 0 {
			t.row("1514 B TCP, GRO on: CPU per packet at most C loop + GRO alone (T1)", num(x.NS, 1)+" ns", fmt.Sprintf("%.1f + %.1f ns", c.NS, t1), verdict(x.NS <= c.NS+t1))
		}
	}
	if x, ok := r.find(groOffBusy, "udp64"); ok {
		for _, peer := range []string{cBusy, testpmd} {
			if p, ok := r.find(peer, "udp64"); ok {
				t.row("64 B live, busy: at least 0.98 of the rate of "+peer, num(x.KPPS, 0)+" kpps", num(p.KPPS, 0)+" kpps", fmt.Sprintf("%.2f, %s", x.KPPS/p.KPPS, verdict(x.KPPS >= 0.98*p.KPPS)))
				t.row("the same: loss at most "+peer+"'s", num(x.Loss, 2)+" %", num(p.Loss, 2)+" %", verdict(x.Loss <= p.Loss))
			}
		}
	}
	for _, w := range r.Trickle {
		t.row(w.Load+": adaptive at least 0.95 of busy's rate at half its CPU", fmt.Sprintf("%.3f at %.2f", w.Rate, w.CPU), "0.95 at 0.50", verdict(w.Pass))
	}
	var s soak
	if read(dir, "soak.json", &s) == nil {
		if a, b, ok := s.compared(); ok {
			t.row(fmt.Sprintf("%.0f s at full rate: no second worse than the C poll loop's worst", s.Length), num(a.Worst, 3)+" %", num(b.Worst, 3)+" %", verdict(s.Pass))
		}
	}
	return r.Machine.from("rx.json", fmt.Sprintf("medians of %d rounds of %g s", r.Rounds, r.Seconds)) + t.String(), nil
}
