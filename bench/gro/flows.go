package main

import (
	"fmt"
	"runtime"
	"time"

	"xrx/bench/internal/traces"
	"xrx/gro"
)

// flowCounts are how many flows a queue sees in the second table.
var flowCounts = []int{64, 10_000, 1_000_000}

// manyFlows is xrx's engine with as many flows as it is given frames: either flushed after each burst, as in the traces,
// or with every flow held at the same time, so that each packet finds its flow among all the others.
type manyFlows struct {
	*xrxEngine
	t     traces.Trace
	at    int // next frame
	round int // how often all flows had a packet
}

// newManyFlows makes the engine. held says that packets are held until the flow's next one (or the one after it) comes.
func newManyFlows(t traces.Trace, held bool) (*manyFlows, error) {
	n := len(t.Frames)
	cfg := gro.Config{Flows: n, Frames: n}
	frames := poolFrames
	if held {
		cfg.Flush = time.Hour // what ends a packet is that n frames are held
		frames = n + 2*traces.Burst
	}
	e, err := newXRX("", frames, cfg)
	if err != nil {
		return nil, err
	}
	m := &manyFlows{xrxEngine: e, t: t}
	for held && m.round < 2 { // fill the table
		m.load(t.Frames[:traces.Burst])
		m.run()
	}
	return m, nil
}

// load ignores the burst: the flows go on where they stopped.
func (m *manyFlows) load([][]byte) {
	burst := m.t.Frames[m.at:min(m.at+traces.Burst, len(m.t.Frames))]
	m.xrxEngine.load(burst)
	for _, h := range m.burst {
		traces.Advance(h.Bytes(), m.round)
	}
	if m.at += len(burst); m.at == len(m.t.Frames) {
		m.at, m.round = 0, m.round+1
	}
}

// close returns the frames that are still held first.
func (m *manyFlows) Close() error {
	m.e.FlushAll()
	m.deliver(m.e.Out())
	m.e.ResetOut()
	return m.close()
}

// flowCost is one line of the second table.
type flowCost struct {
	Flows   int     `json:"flows"`
	Flushed float64 `json:"flushed_ns"` // per packet, all completed after each burst
	Held    float64 `json:"held_ns"`    // per packet, all flows held at once
	Ratio   float64 `json:"held_ratio"` // packets in per packet out
	Load    float64 `json:"load_ns"`    // one dependent load at random from the memory that the held flows need
	Bytes   int     `json:"bytes"`      // that memory: table entries, hidden headers, first line of packets
}

// measureFlows fills one line, each figure the median of rounds.
func measureFlows(n, rounds int, d time.Duration) (flowCost, error) {
	if n%traces.Burst != 0 {
		n -= n % traces.Burst
	}
	c := flowCost{Flows: n, Bytes: n * bytesPerFlow, Load: loadLatency(n * bytesPerFlow)}
	t := traces.Many(n)
	for _, held := range []bool{false, true} {
		var ns, ratio []float64
		m, err := newManyFlows(t, held)
		if err != nil {
			return c, err
		}
		for range rounds {
			s := measure(m, t.Frames[:traces.Burst], d)
			ns, ratio = append(ns, s.NS), append(ratio, s.Ratio)
		}
		if held {
			c.Held, c.Ratio = median(ns), median(ratio)
		} else {
			c.Flushed = median(ns)
		}
		if err := m.Close(); err != nil {
			return c, fmt.Errorf("%d flows: %w", n, err)
		}
		runtime.GC()
	}
	return c, nil
}

// bytesPerFlow is what a held packet touches: its table entry and bucket, two lines of hidden header, two of the packet.
const bytesPerFlow = 128 + 8 + 4*64

// loadLatency returns the time of one load whose address depends on the load before, at random over that many bytes, in ns.
func loadLatency(bytes int) float64 {
	const line = 64
	n := max(2, bytes/line)
	chain := make([][line / 4]uint32, n)
	order := make([]uint32, n)
	for i := range order {
		order[i] = uint32(i)
	}
	x := uint64(0x9E3779B97F4A7C15)
	for i := n - 1; i > 0; i-- { // Sattolo: one cycle through all lines
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		j := x % uint64(i)
		order[i], order[j] = order[j], order[i]
	}
	for i, v := range order {
		chain[v][0] = order[(i+1)%n]
	}
	at := uint32(0)
	for range n {
		at = chain[at][0]
	}
	const loads = 1 << 20
	t := time.Now()
	for range loads {
		at = chain[at][0]
	}
	ns := float64(time.Since(t).Nanoseconds()) / loads
	runtime.KeepAlive(at)
	return ns
}
