package afpacket

import (
	"context"
	"time"
)

// pacerSlice is the time that one wait aims to cover: long against the ~60 us
// that a timer may be late, short against any buffer on the way.
const pacerSlice = time.Millisecond

// pacerBurst bounds the frames' worth of time that are sent at once to make up
// for a delay: after a longer stop (a suspended process) the rate goes on from
// there instead of flooding.
const pacerBurst = 20 * time.Millisecond

// Pacer hands out permission to send frames at a rate. It reads the clock once
// per batch, sleeps when it is ahead, and never spins.
type Pacer struct {
	rate   float64   // frames per second; 0 means no limit
	start  time.Time // of the schedule; zero before the first Wait
	handed float64   // frames handed out since start
}

// NewPacer returns a pacer of rate frames per second, 0 meaning no limit.
func NewPacer(rate float64) *Pacer { return &Pacer{rate: rate} }

// Wait sleeps until at least one frame may be sent and returns how many may,
// 1..most. It ends early, with the error of ctx, when ctx ends.
func (p *Pacer) Wait(ctx context.Context, most int) (n int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if p.rate <= 0 {
		return most, nil
	}
	now := time.Now()
	if p.start.IsZero() {
		p.start = now
	}
	due := p.due(now)
	if due < 1 {
		if err := sleep(ctx, p.ahead()); err != nil {
			return 0, err
		}
		if due = p.due(time.Now()); due < 1 {
			due = 1 // woken to the nanosecond; rounding must not make it sleep again
		}
	}
	n = min(most, int(due))
	p.handed += float64(n)
	return n, nil
}

// due returns the frames that the schedule allows at now beyond those handed
// out, and moves the schedule when it lags by more than pacerBurst.
func (p *Pacer) due(now time.Time) float64 {
	due := now.Sub(p.start).Seconds()*p.rate - p.handed
	if burst := max(1, p.rate*pacerBurst.Seconds()); due > burst {
		p.start, p.handed = now, -burst
		due = burst
	}
	return due
}

// ahead returns how long to sleep: until the next frame is due, at least a
// slice, so that a high rate is sent in batches and not by one frame each.
func (p *Pacer) ahead() time.Duration {
	next := time.Duration((p.handed + 1) / p.rate * float64(time.Second))
	wait := time.Until(p.start.Add(next))
	if perSlice := p.rate * pacerSlice.Seconds(); perSlice > 1 {
		return max(wait, pacerSlice)
	}
	return wait
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
