package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"xrx"
	"xrx/gro"
	"xrx/stats"
)

// frames is how many each receiver of the benchmark has.
const frames = 4096

// xrxLoop is the library with a consumer of its own.
func xrxLoop(o options, stop *atomic.Bool) (c counts, err error) {
	cfg := &xrx.Config{Frames: frames, CPUs: []int{o.cpu}, Busy: o.busy}
	if o.gro {
		cfg.GRO = &gro.Config{}
	}
	r, err := xrx.Open(o.iface, cfg)
	if err != nil {
		return c, err
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()
	consumer, finish := xrx.Consumer(xrx.Handler(func(xrx.Packet) {})), func() {}
	switch {
	case o.apart:
		consumer, finish = apart()
	case o.held > 0:
		consumer, finish = holding(frames * o.held / 100)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, consumer) }()
	for !r.Registered() {
		select {
		case err := <-ended:
			return c, err
		default:
			time.Sleep(time.Millisecond)
		}
	}
	ready()
	tell, collect := every(o.seconds, time.Second), every(o.collect > 0, o.collect)
	pauses := newPauses()
	if o.seconds {
		second(r.Snapshot(), pauses) // where it begins
	}
	for look := time.NewTicker(loopWait * time.Millisecond); !stop.Load(); {
		select {
		case <-tell:
			second(r.Snapshot(), pauses)
		case <-collect:
			runtime.GC()
		case <-look.C:
		}
	}
	end()
	err = <-ended
	finish()
	for _, q := range r.Snapshot().Queues {
		c.Packets += q.OutSegments
		c.Batches += q.Polls
		c.Syscalls += q.Sleeps + q.Wakeups
	}
	if l := r.Ledger(); l.Lost != 0 && err == nil {
		err = fmt.Errorf("frames %s", l)
	}
	if e := r.Close(); err == nil {
		err = e
	}
	return c, err
}

func every(on bool, d time.Duration) <-chan time.Time {
	if !on {
		return nil
	}
	return time.NewTicker(d).C
}

// batchMost is packets per poll.
const batchMost = 64

// apart hands batches to another goroutine, which releases them: through a channel, in slices that go round.
func apart() (xrx.Consumer, func()) {
	const around = 32
	full, empty := make(chan []xrx.Packet, around), make(chan []xrx.Packet, around)
	for range around {
		empty <- make([]xrx.Packet, 0, batchMost)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := range full {
			xrx.Release(b)
			empty <- b[:0]
		}
	}()
	return xrx.BatchHandler(func(b []xrx.Packet) { full <- append(<-empty, b...) }), func() { close(full); <-done }
}

// holding keeps the last n packets: each is released when n others have come.
func holding(n int) (xrx.Consumer, func()) {
	ring, at := make([]xrx.Packet, max(1, n)), 0
	held := make([]bool, len(ring))
	free := make([]xrx.Packet, 0, batchMost)
	take := func(b []xrx.Packet) {
		free = free[:0]
		for _, p := range b {
			if held[at] {
				free = append(free, ring[at])
			}
			ring[at], held[at] = p, true
			if at++; at == len(ring) {
				at = 0
			}
		}
		xrx.Release(free)
	}
	return xrx.BatchHandler(take), func() {
		for i, h := range held {
			if h {
				ring[i].Release()
			}
		}
	}
}

// second prints a line like the C loop's, with the garbage collector's work beside it.
func second(s stats.Snapshot, p *pauses) {
	line := struct {
		At         int64   `json:"at"` // ns
		Packets    uint64  `json:"packets"`
		Dropped    uint64  `json:"dropped"`
		GC         uint64  `json:"gc"`           // collections since the last line
		GCPauseMax float64 `json:"gc_pause_max"` // of them, seconds; an upper bound
	}{At: s.At.UnixNano()}
	for _, q := range s.Queues {
		line.Packets += q.OutSegments
		line.Dropped += q.Kernel.Lost()
		for _, n := range q.Drops {
			line.Dropped += n
		}
	}
	line.GC, line.GCPauseMax = p.since()
	_ = json.NewEncoder(os.Stdout).Encode(line) // who reads it has gone: the end comes by itself
}
