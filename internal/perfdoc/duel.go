package perfdoc

import (
	"fmt"
	"slices"
)

// duel is duel.json, and pgo.json: receivers that were started together, taking turns.
type duel struct {
	Machine  machine   `json:"machine"`
	Turns    int       `json:"turns"`
	Seconds  float64   `json:"turn_s"`
	Sittings []sitting `json:"sittings"`
	Skipped  []string  `json:"skipped"`
}

type sitting struct {
	Crossing []float64 `json:"crossing_ns"`
	Seats    []seat    `json:"seats"`
}

type seat struct {
	Receiver string           `json:"receiver"`
	Sent     float64          `json:"sent"`
	Received float64          `json:"received"`
	Loads    map[string]turns `json:"loads"`
}

// turns are in their order: the source's time and the receiver's processor time for each frame sent, ns.
type turns struct {
	NS  []float64 `json:"source_ns_per_frame"`
	CPU []float64 `json:"cpu_ns_per_frame"`
}

// played is one receiver under one load in one sitting. arrived is the part of the frames that it got, of all its turns
// together: what it counted meanwhile is not known.
type played struct {
	turns
	arrived float64
}

func (p played) kpps() float64 { return 1e6 / middle(p.NS) * p.arrived }
func (p played) cost() float64 { return middle(p.CPU) / p.arrived }
func (p played) lost() float64 { return max(0, 100*(1-p.arrived)) }

// ratio is the median over the turns of what f says of one turn.
func ratio(x, c played, f func(i int) float64) float64 {
	var v []float64
	for i := range min(len(x.NS), len(c.NS)) {
		v = append(v, f(i))
	}
	return middle(v)
}

// rateTo is the rate of x to that of c.
func rateTo(x, c played) float64 {
	return ratio(x, c, func(i int) float64 { return c.NS[i] / x.NS[i] }) * x.arrived / c.arrived
}

// costTo is the processor time per packet of x to that of c and more ns.
func costTo(more float64) func(x, c played) float64 {
	return func(x, c played) float64 {
		return ratio(x, c, func(i int) float64 { return x.CPU[i] / x.arrived / (c.CPU[i]/c.arrived + more) })
	}
}

// usedTo is the part of a processor that x uses to that of c.
func usedTo(x, c played) float64 {
	return ratio(x, c, func(i int) float64 { return x.CPU[i] / x.NS[i] / (c.CPU[i] / c.NS[i]) })
}

func lostMore(x, c played) float64 { return x.lost() - c.lost() }

func (s sitting) find(receiver, load string) (p played, ok bool) {
	i := slices.IndexFunc(s.Seats, func(s seat) bool {
		return s.Receiver == receiver && len(s.Loads[load].NS) > 0 && s.Received > 0
	})
	if i < 0 {
		return p, false
	}
	return played{s.Seats[i].Loads[load], s.Seats[i].Received / s.Seats[i].Sent}, true
}

// pair is two receivers under one load, by sitting.
type pair struct{ xs, cs []played }

// pair returns the sittings that had both.
func (d *duel) pair(receiver, peer, load string) (p pair) {
	for _, s := range d.Sittings {
		x, okX := s.find(receiver, load)
		c, okC := s.find(peer, load)
		if okX && okC {
			p.xs, p.cs = append(p.xs, x), append(p.cs, c)
		}
	}
	return p
}

// medians are of the receiver's figure and of the peer's, each over all sittings.
func (p pair) medians(of func(played) float64) (x, c float64) {
	each := func(list []played) (v []float64) {
		for _, p := range list {
			v = append(v, of(p))
		}
		return v
	}
	return middle(each(p.xs)), middle(each(p.cs))
}

// by compares sitting by sitting.
func (p pair) by(of func(x, c played) float64) comparison {
	v := make([]float64, len(p.xs))
	for i := range v {
		v[i] = of(p.xs[i], p.cs[i])
	}
	lo, hi := within(v)
	return comparison{middle(v), lo, hi, len(v)}
}

// from says what the figures of a file are of.
func (d *duel) from(file string) string {
	var lines []float64
	for _, s := range d.Sittings {
		lines = append(lines, s.Crossing...)
	}
	slices.Sort(lines)
	how := fmt.Sprintf("%d sittings of %d turns of %g s", len(d.Sittings), d.Turns, d.Seconds)
	if n := len(lines); n > 0 {
		how += fmt.Sprintf("; line %.0f ns, half of the time %.0f to %.0f", middle(lines), lines[n/4], lines[(n-1)*3/4])
	}
	return d.Machine.from(file, how)
}
