package perfdoc

import "fmt"

// Receivers of duel.json that goals are about.
const (
	cPoll, cBusy, testpmd = "C libxdp, poll", "C libxdp, busy", "DPDK testpmd, net_af_xdp"
	cAgain, cMeta         = "C libxdp, busy, once more", "C libxdp, busy, with metadata"
	groOff, groOffBusy    = "xrx, GRO off", "xrx, GRO off, busy"
	groOn                 = "xrx, GRO on"
	bareBusy              = "xrx, GRO off, no metadata, busy" // its XDP program does what the others' do
)

// goals says which were met. A goal about which nothing was measured is left out.
func goals(dir string, _ []string) (string, error) {
	var d duel
	if err := read(dir, "duel.json", &d); err != nil {
		return "", err
	}
	t := table("goal", "xrx", "to compare with", "by sitting", "")
	if p := d.pair(cAgain, cBusy, "udp64"); len(p.xs) > 0 {
		a, b := p.medians(played.kpps)
		t.row("*what can't be told apart:* 64 B live, the C busy loop's rate to its own", num(a, 0)+" kpps", num(b, 0)+" kpps", p.by(rateTo).String(), "")
	}
	if p := d.pair(groOff, cPoll, "udp64"); len(p.xs) > 0 {
		by := p.by(costTo(0))
		x, c := p.medians(played.cost)
		t.row("64 B live, GRO off: CPU per packet at most the C poll loop's", num(x, 1)+" ns", num(c, 1)+" ns", by.String(), by.atMost(1))
		t.lossAtMost("the C poll loop", p)
	}
	var g gro
	if read(dir, "gro.json", &g) == nil && g.find(verified, "T1") > 0 {
		t1 := g.find(verified, "T1")
		if p := d.pair(groOn, cPoll, "tcp1500"); len(p.xs) > 0 {
			by := p.by(costTo(t1))
			x, c := p.medians(played.cost)
			t.row("1514 B TCP, GRO on: CPU per packet at most C loop + GRO alone (T1)", num(x, 1)+" ns", fmt.Sprintf("%.1f + %.1f ns", c, t1), by.String(), by.atMost(1))
		}
	}
	for _, x := range []struct{ row, text, peer string }{
		{bareBusy, "64 B live, busy, no metadata", cBusy}, {bareBusy, "64 B live, busy, no metadata", testpmd},
		{groOffBusy, "64 B live, busy", cMeta}, {groOffBusy, "64 B live, busy", cBusy}, {groOffBusy, "64 B live, busy", testpmd},
	} {
		if p := d.pair(x.row, x.peer, "udp64"); len(p.xs) > 0 {
			by := p.by(rateTo)
			a, b := p.medians(played.kpps)
			t.row(x.text+": at least 0.98 of the rate of "+x.peer, num(a, 0)+" kpps", num(b, 0)+" kpps", by.String(), by.atLeast(0.98))
			t.lossAtMost(x.peer, p)
		}
	}
	if p := d.pair(cMeta, cBusy, "udp64"); len(p.xs) > 0 {
		a, b := p.medians(played.kpps)
		t.row("*what metadata costs in itself:* rate of "+cMeta+", to that without", num(a, 0)+" kpps", num(b, 0)+" kpps", p.by(rateTo).String(), "")
	}
	for _, w := range d.waiting() {
		t.row(w.load+": adaptive at least 0.95 of busy's rate at half its CPU", fmt.Sprintf("%.3f at %.2f", w.rate.median, w.cpu.median), "0.95 at 0.50", w.rate.String(), w.verdict())
	}
	var s soak
	if read(dir, "soak.json", &s) == nil {
		if a, b, ok := s.compared(); ok {
			t.row(fmt.Sprintf("%.0f s at full rate: no second worse than the C poll loop's worst", s.Length), num(a.Worst, 3)+" %", num(b.Worst, 3)+" %", "", verdict(s.Pass))
			if a.Alone > 0 && b.Alone > 0 {
				t.row(fmt.Sprintf("the same, of %d and %d seconds in which the host took nothing of the receiver's processor", a.Alone, b.Alone), num(a.WorstOf, 3)+" %", num(b.WorstOf, 3)+" %", "", verdict(s.Alone))
			}
		}
	}
	out := d.from("duel.json") + t.String()
	for _, s := range d.Skipped {
		out += "\nSkipped: " + s + "\n"
	}
	return out, nil
}

// lossAtMost is the row that follows one about speed: it must not be bought with packets.
func (g *grid) lossAtMost(peer string, p pair) {
	by := p.by(lostMore)
	x, c := p.medians(played.lost)
	g.row("the same: loss at most that of "+peer, num(x, 2)+" %", num(c, 2)+" %", by.String(), by.atMost(0))
}

// waiting is xrx adaptive beside busy, where packets come a few at a time.
type waiting struct {
	pair
	load      string
	rate, cpu comparison // adaptive to busy
}

func (d *duel) waiting() (ws []waiting) {
	for _, load := range []string{"xsk64", "xsk1500", "packet64", "packet1500"} {
		if p := d.pair(groOff, groOffBusy, load); len(p.xs) > 0 {
			ws = append(ws, waiting{p, load, p.by(rateTo), p.by(usedTo)})
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
	var d duel
	if err := read(dir, "duel.json", &d); err != nil {
		return "", err
	}
	t := table("load", "adaptive kpps", "busy kpps", "rate, adaptive to busy", "CPU, adaptive to busy", "goal: at least 0.95 at 0.50 or less")
	for _, w := range d.waiting() {
		x, c := w.medians(played.kpps)
		t.row(w.load, num(x, 0), num(c, 0), w.rate.String(), w.cpu.String(), w.verdict())
	}
	return d.from("duel.json") + t.String(), nil
}
