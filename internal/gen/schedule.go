package gen

import (
	"context"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"xrx/internal/afpacket"
)

// schedule says when frames may be sent. Stamped frames have their turns to the
// nanosecond, and a processor that spins until they come: one that sleeps is
// woken late, and what is measured would be the sender. Others are paced by the
// millisecond.
type schedule struct {
	pacer *afpacket.Pacer
	clock Clock
	late  *hdrhistogram.Histogram // ns; nil: not stamped
	step  float64                 // ns from turn to turn; 0: no limit
	start int64                   // turn of frame 0
	next  uint64                  // frame whose turn is next
	first uint64                  // of the frames that wait let go
	now   int64                   // when it did
}

// lateMost bounds what the histograms of time hold: 1 ns to 100 s, to three figures.
const lateMost = int64(100 * time.Second)

func newSchedule(s Stream, o Options) *schedule {
	if !s.Stamp {
		return &schedule{pacer: afpacket.NewPacer(o.Rate)}
	}
	p := &schedule{clock: NewClock(), late: hdrhistogram.New(1, lateMost, 3)}
	if o.Rate > 0 {
		p.step = 1e9 / o.Rate
	}
	return p
}

// wait returns how many frames may be sent now, 1..most. It ends early, with the
// error of ctx, when ctx ends.
func (p *schedule) wait(ctx context.Context, most int) (n int, err error) {
	if p.late == nil {
		return p.pacer.Wait(ctx, most)
	}
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if p.now = p.clock.Now(); p.start == 0 {
			p.start = p.now
		}
		due := uint64(most)
		if p.step > 0 {
			due = min(due, uint64(float64(p.now-p.start)/p.step)+1-p.next)
		}
		if due > 0 {
			p.first, p.next = p.next, p.next+due
			_ = p.late.RecordValue(min(p.now-p.turn(0), lateMost)) // the earliest has waited longest
			return int(due), nil
		}
	}
}

// turn returns the CLOCK_MONOTONIC time at which frame i of those let go last was to be sent.
func (p *schedule) turn(i int) int64 {
	if p.step == 0 {
		return p.now
	}
	return p.start + int64(float64(p.first+uint64(i))*p.step)
}

// stamp gives the writer the stamp of frame i of those let go last.
func (p *schedule) stamp(w *Writer, i int) {
	if p.late != nil {
		w.stamp = p.turn(i)
	}
}

// lateness returns how much later than their turns batches were sent, of a stamped stream.
func (p *schedule) lateness() *Lateness {
	if p.late == nil {
		return nil
	}
	at := func(q float64) time.Duration { return time.Duration(p.late.ValueAtQuantile(q)) }
	return &Lateness{P50: at(50), P99: at(99), P999: at(99.9), Max: time.Duration(p.late.Max())}
}

// Lateness is how much later than its turn the first frame of each batch was handed to the kernel: what the sender itself
// adds to the latency that stamps tell.
type Lateness struct{ P50, P99, P999, Max time.Duration }
