package rig

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"xrx/bench/internal/lab"
)

// Contender is a receiver with the loads that it takes turns under, some more than once.
type Contender struct {
	Name  string
	Loads []string
	Of    func(*Rig) *Program
}

// Sitting is what receivers did that were started together and took turns.
type Sitting struct {
	Crossing []float64     `json:"crossing_ns"` // of each turn: lab.Crossing
	Seats    []*SeatResult `json:"seats"`
}

// SeatResult is one receiver. What it received is known only of all its turns together.
type SeatResult struct {
	Receiver string            `json:"receiver"`
	Sent     uint64            `json:"sent"`
	Received uint64            `json:"received"`
	Loads    map[string]*Turns `json:"loads"`
}

// Turns are those of one receiver under one load, in their order: how long the source took for a frame, and the processor
// time that the receiver used meanwhile, for each frame sent.
type Turns struct {
	NS  []float64 `json:"source_ns_per_frame"`
	CPU []float64 `json:"cpu_ns_per_frame"`
}

// SitTime is about how long a sitting takes. Around a turn the source starts and ends; a receiver takes a second to start.
func SitTime(cs []Contender, turns int, length time.Duration) (d time.Duration) {
	for _, c := range cs {
		d += time.Second + time.Duration(turns*len(c.Loads))*(length+120*time.Millisecond)
	}
	return d
}

// Sit starts all of them, each on a network of its own, and has them take turns in an order that is drawn anew each
// time. It calls done after each.
func (g *Rig) Sit(cs []Contender, turns int, done func()) (s Sitting, err error) {
	if turns < 1 {
		return s, fmt.Errorf("%d turns: want 1 or more", turns)
	}
	seats := make([]*Seat, len(cs))
	defer func() {
		for i, seat := range seats {
			if seat == nil {
				continue
			}
			c, e := seat.Leave()
			if e != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", cs[i].Name, e))
			}
			s.Seats[i].Received = c.Packets
		}
	}()
	type turn struct {
		seat int
		load Load
	}
	var all []turn
	for i, c := range cs {
		s.Seats = append(s.Seats, &SeatResult{Receiver: c.Name, Loads: map[string]*Turns{}})
		for _, name := range c.Loads {
			l, err := Pick(name)
			if err != nil {
				return s, err
			}
			all = append(all, turn{i, l[0]})
			s.Seats[i].Loads[name] = &Turns{}
		}
		if seats[i], err = g.Seat(c.Of); err != nil {
			return s, fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	for range turns {
		s.Crossing = append(s.Crossing, round(lab.Crossing(g.SourceCPU, g.CPU)))
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, t := range all {
			x, err := seats[t.seat].Turn(t.load)
			if err != nil {
				return s, fmt.Errorf("%s: %w", cs[t.seat].Name, err)
			}
			s.Seats[t.seat].add(t.load.Name, x)
			done()
		}
	}
	return s, nil
}

func (r *SeatResult) add(load string, x Sample) {
	r.Sent += x.Sent
	l := r.Loads[load]
	l.NS = append(l.NS, round(x.Seconds*1e9/float64(x.Sent)))
	l.CPU = append(l.CPU, round(x.CPU*1e9/float64(x.Sent)))
}

// Loss is the part of the frames that did not arrive, percent.
func (r *SeatResult) Loss() float64 {
	return max(0, 100*(1-float64(r.Received)/float64(max(1, r.Sent))))
}

// round keeps hundredths: the files are read by people too.
func round(ns float64) float64 { return math.Round(100*ns) / 100 }
