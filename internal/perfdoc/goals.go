package perfdoc

import (
	"fmt"
	"path/filepath"
)

// Rows of rx.json that goals are about.
const (
	cPoll, cBusy, testpmd = "C libxdp, poll", "C libxdp, busy", "DPDK testpmd, net_af_xdp"
	groOff, groOffBusy    = "xrx, GRO off", "xrx, GRO off, busy"
	groOn                 = "xrx, GRO on"
	bareBusy              = "xrx, GRO off, no metadata, busy" // its XDP program does what the others' do
)

// goals says which were met; of another machine, where a folder is given. A goal about which nothing was measured is left out.
func goals(dir string, args []string) (string, error) {
	file := "rx.json"
	if len(args) == 1 {
		file = filepath.Join(args[0], file)
		dir = filepath.Join(dir, args[0])
	}
	var r rx
	if err := read(dir, "rx.json", &r); err != nil {
		return "", err
	}
	t := table("goal", "processors", "xrx", "to compare with", "by round", "")
	for _, p := range r.pairs(groOff, cPoll, "udp64") {
		by := p.by(func(x, c sample) float64 { return cost(x) / cost(c) })
		x, c := p.medians(cost)
		t.row("64 B live, GRO off: CPU per packet at most the C poll loop's", p.where(), num(x, 1)+" ns", num(c, 1)+" ns", by.String(), by.atMost(1))
		t.lossAtMost("the C poll loop", p)
	}
	var g gro
	if read(dir, "gro.json", &g) == nil && g.find(verified, "T1") > 0 {
		t1 := g.find(verified, "T1")
		for _, p := range r.pairs(groOn, cPoll, "tcp1500") {
			by := p.by(func(x, c sample) float64 { return cost(x) / (cost(c) + t1) })
			x, c := p.medians(cost)
			t.row("1514 B TCP, GRO on: CPU per packet at most C loop + GRO alone (T1)", p.where(), num(x, 1)+" ns", fmt.Sprintf("%.1f + %.1f ns", c, t1), by.String(), by.atMost(1))
		}
	}
	for _, peer := range []string{cBusy, testpmd} {
		for _, x := range []struct{ row, text string }{{bareBusy, "64 B live, busy, no metadata"}, {groOffBusy, "64 B live, busy"}} {
			for _, p := range r.pairs(x.row, peer, "udp64") {
				by := p.by(func(x, c sample) float64 { return rate(x) / rate(c) })
				a, b := p.medians(rate)
				t.row(x.text+": at least 0.98 of the rate of "+peer, p.where(), num(a/1e3, 0)+" kpps", num(b/1e3, 0)+" kpps", by.String(), by.atLeast(0.98))
				t.lossAtMost(peer, p)
			}
		}
	}
	for _, w := range r.waiting() {
		t.row(w.load+": adaptive at least 0.95 of busy's rate at half its CPU", w.where(), fmt.Sprintf("%.3f at %.2f", w.rate.median, w.cpu.median), "0.95 at 0.50", w.rate.String(), w.verdict())
	}
	var s soak
	if read(dir, "soak.json", &s) == nil {
		if a, b, ok := s.compared(); ok {
			t.row(fmt.Sprintf("%.0f s at full rate: no second worse than the C poll loop's worst", s.Length), "", num(a.Worst, 3)+" %", num(b.Worst, 3)+" %", "", verdict(s.Pass))
			if a.Alone > 0 && b.Alone > 0 {
				t.row("the same, of seconds in which the host took nothing of the receiver's processor", fmt.Sprintf("%d and %d seconds", a.Alone, b.Alone), num(a.WorstOf, 3)+" %", num(b.WorstOf, 3)+" %", "", verdict(s.Alone))
			}
		}
	}
	return r.Machine.from(file, fmt.Sprintf("medians of rounds of %g s", r.Seconds)) + t.String(), nil
}

// lossAtMost is the row that follows one about speed: it must not be bought with packets.
func (g *grid) lossAtMost(peer string, p pair) {
	by := p.by(func(x, c sample) float64 { return lost(x) - lost(c) })
	x, c := p.medians(lost)
	g.row("the same: loss at most that of "+peer, p.where(), num(x, 2)+" %", num(c, 2)+" %", by.String(), by.atMost(0))
}

// waiting is xrx adaptive beside busy, where packets come a few at a time.
type waiting struct {
	pair
	load      string
	rate, cpu comparison // adaptive to busy
}

func (r *rx) waiting() (ws []waiting) {
	for _, l := range r.Trickle {
		for _, p := range r.pairs(groOff, groOffBusy, l.Load) {
			ws = append(ws, waiting{p, l.Load, p.by(func(x, c sample) float64 { return rate(x) / rate(c) }), p.by(func(x, c sample) float64 { return used(x) / used(c) })})
		}
	}
	return ws
}

func (w waiting) verdict() string {
	if w.cpu.median > 0.5 {
		return verdict(false)
	}
	return w.rate.atLeast(0.95)
}

func trickles(dir string, _ []string) (string, error) {
	var r rx
	if err := read(dir, "rx.json", &r); err != nil {
		return "", err
	}
	t := table("load", "processors", "adaptive kpps", "busy kpps", "rate, adaptive to busy", "CPU, adaptive to busy", "goal: at least 0.95 at 0.50 or less")
	for _, w := range r.waiting() {
		x, c := w.medians(rate)
		t.row(w.load, w.where(), num(x/1e3, 0), num(c/1e3, 0), w.rate.String(), num(w.cpu.median, 2), w.verdict())
	}
	return r.Machine.from("rx.json", "medians") + t.String(), nil
}
