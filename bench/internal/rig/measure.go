package rig

import (
	"errors"
	"time"

	"xrx/bench/internal/lab"
)

// settle is how long a receiver may take for what is in its rings when the source has ended. No receiver tells from the
// outside that it is done; a full ring of 2048 takes a millisecond.
const settle = 50 * time.Millisecond

// Undisturbed measures, again as long as other programs took much of the processors, and returns the sample that they
// disturbed least.
func (g *Rig) Undisturbed(rx Receiver, l Load) (best Sample, err error) {
	for i := range g.Tries {
		s, err := g.Measure(rx, l)
		if err := errors.Join(err, g.Quiet()); err != nil {
			return best, err
		}
		if i == 0 || s.Disturbed() < best.Disturbed() {
			best = s
		}
		if best.Disturbed() <= g.Most {
			break
		}
	}
	return best, nil
}

// Measure is one receiver under one load, once.
func (g *Rig) Measure(rx Receiver, l Load) (s Sample, err error) {
	crossing := lab.Crossing(g.SourceCPU, g.CPU)
	w, err := rx.Start()
	if err != nil {
		return s, err
	}
	s, err = g.send(w, l)
	c, stopErr := w.Stop()
	if err := errors.Join(err, stopErr); err != nil {
		return s, err
	}
	s.Received, s.Counted, s.Crossing, s.Latency = c.Packets, !c.unknown, crossing, c.Latency
	if c.Batches > 0 {
		s.Batch = float64(c.Packets) / float64(c.Batches)
	}
	s.Syscalls = float64(c.Syscalls) / float64(max(1, c.Packets))
	return s, nil
}

// send sends a load to a receiver at work: what is known of the sample before the receiver says what it got.
func (g *Rig) send(w Running, l Load) (s Sample, err error) {
	before, err := w.CPU()
	if err != nil {
		return s, err
	}
	busy, _ := busyTime(g.CPU)
	began := time.Now()
	out, err := l.Send(g.Net.A, g.XRX, g.SourceCPU, g.Length)
	if err != nil {
		return s, err
	}
	time.Sleep(settle)
	took := time.Since(began)
	after, err := w.CPU()
	if err != nil {
		return s, err
	}
	busyAfter, _ := busyTime(g.CPU)
	if out.Frames == 0 {
		return s, errors.New("nothing was sent")
	}
	s = Sample{Sent: out.Frames, Seconds: out.Sending, CPU: (after - before).Seconds(), Late: out.Late}
	if _, ok := w.(*dropping); !ok { // which has no processor that others could take
		s.Others = max(0, 100*(busyAfter-busy-(after-before)).Seconds()/took.Seconds())
	}
	if l.Engine == "live" { // which never waits; the others do
		s.SourceOthers = max(0, 100*(1-out.cpu.Seconds()/out.Sending))
	}
	if took > 0 && s.CPU > 0.9*took.Seconds() { // a busy loop: the source's start and end are not its packets' time, nor what the source takes to prepare
		s.CPU *= out.Sending / took.Seconds()
	}
	return s, nil
}

// Quiet waits until no XDP program is on the receiving end: then the next receiver finds what the first one found.
func (g *Rig) Quiet() error {
	const deadline = 3 * time.Second
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		l, err := g.Net.B.Link()
		if err != nil {
			return err
		}
		if x := l.Attrs().Xdp; x == nil || !x.Attached {
			return nil
		}
		if time.Since(start) > deadline {
			return errors.New("an XDP program is still attached")
		}
	}
}
