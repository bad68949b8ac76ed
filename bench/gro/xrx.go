package main

import (
	"fmt"
	"time"

	"xrx/bench/internal/traces"
	"xrx/gro"
)

// poolFrames is the receiver's default for one queue.
const poolFrames = 4096

// passThrough delivers frames as they came: what every figure contains.
type passThrough struct{ *frames }

func newPassThrough() (passThrough, error) {
	f, err := newFrames(poolFrames)
	return passThrough{f}, err
}

func (passThrough) Name() string            { return "pass-through, Go" }
func (passThrough) Runs(*traces.Trace) bool { return true }
func (e passThrough) run() int              { return e.deliver(e.burst) }
func (e passThrough) Close() error          { return e.close() }
func (e passThrough) Measure(t *traces.Trace, d time.Duration) (sample, error) {
	return measure(e, t.Frames, d), nil
}

// xrxEngine is package gro.
type xrxEngine struct {
	*frames
	name    string
	udpOnly bool
	e       *gro.Engine
}

func newXRX(name string, frames int, cfg gro.Config) (*xrxEngine, error) {
	f, err := newFrames(frames)
	if err != nil {
		return nil, err
	}
	e, err := gro.New(f.p, cfg)
	return &xrxEngine{f, name, len(cfg.UDPPorts) > 0, e}, err
}

func (e *xrxEngine) Name() string { return e.name }

// Runs: merging UDP is an option that only changes UDP.
func (e *xrxEngine) Runs(t *traces.Trace) bool { return t.UDP || !e.udpOnly }

func (e *xrxEngine) run() int {
	e.e.Receive(e.burst)
	e.e.EndPoll(0, false)
	n := e.deliver(e.e.Out())
	e.e.ResetOut()
	return n
}

func (e *xrxEngine) Measure(t *traces.Trace, d time.Duration) (sample, error) {
	s := measure(e, t.Frames, d)
	if st := e.e.Stats(); st.In != st.Out+st.Merged {
		return s, fmt.Errorf("%d packets in, %d out and %d merged", st.In, st.Out, st.Merged)
	}
	return s, nil
}

func (e *xrxEngine) Close() error { return e.close() }
