package gro

import (
	"slices"
	"testing"
	"time"

	"xrx/umem"
)

// The six traces of the benchmark, and the first over IPv6 and in a VLAN: bursts of 64 frames, GRO flushed after each. What is timed is GRO with parsing and
// checksums, flush and delivery; frames are filled before the clock starts.
const burst = 64

type flowState struct {
	seq uint32
	id  uint16
}

var xorshift uint64 = 0x9E3779B97F4A7C15

func rnd() uint64 {
	xorshift ^= xorshift << 13
	xorshift ^= xorshift >> 7
	xorshift ^= xorshift << 17
	return xorshift
}

// trace returns n frames of size payload bytes; pick chooses the flow of frame i.
func trace(n, flows, size int, base spec, pick func(i int) int) [][]byte {
	s := make([]flowState, flows)
	for i := range s {
		s[i] = flowState{uint32(i) * 7919, uint16(i * 31)}
	}
	out := make([][]byte, n)
	payload := make([]byte, size)
	for i := range out {
		f := pick(i)
		for j := range payload {
			payload[j] = byte(rnd())
		}
		sp := base
		sp.saddr, sp.sport, sp.dport = uint16(f), uint16(20000+f%40000), 5201
		sp.id, sp.seq, sp.ack, sp.payload = s[f].id, s[f].seq, 0x01020304, payload
		if sp.udp {
			sp.dport = 4433
		} else {
			sp.opt = []byte{1, 1, 8, 10, 0, 0, byte((1000 + i/burst) >> 8), byte(1000 + i/burst), 0, 0, 0, 77}
		}
		out[i] = sp.build()
		s[f].id++
		s[f].seq += uint32(size)
	}
	return out
}

var traces = []struct {
	name string
	make func() [][]byte
	udp  bool
}{
	{"T1", func() [][]byte { return trace(1024, 1, 1448, spec{}, func(int) int { return 0 }) }, false},
	{"T1v6", func() [][]byte { return trace(1024, 1, 1428, spec{v6: true}, func(int) int { return 0 }) }, false},
	{"T1vlan", func() [][]byte {
		return trace(1024, 1, 1448, spec{vlan: []uint32{0x8100<<16 | 5}}, func(int) int { return 0 })
	}, false},
	{"T2a", func() [][]byte { return trace(1024, 64, 1448, spec{}, func(i int) int { return i % 64 }) }, false},
	{"T2b", func() [][]byte {
		return trace(1024, 64, 1448, spec{}, func(i int) int { return (i/64*8 + i%8) % 64 })
	}, false},
	{"T3", func() [][]byte { return trace(10048, 10000, 1448, spec{}, func(i int) int { return i % 10000 }) }, false},
	{"T4", func() [][]byte {
		return trace(4096, 256, 18, spec{udp: true}, func(int) int { return int(rnd() >> 33 % 256) })
	}, false},
	{"T5", func() [][]byte { return trace(1024, 1, 1200, spec{udp: true}, func(int) int { return 0 }) }, true},
}

// lab is the benchmarks' rig: no copies, no checks.
type lab struct {
	u  *umem.Umem
	p  *umem.Pool
	e  *Engine
	hs []*umem.Header
}

func newLab(tb testing.TB, cfg Config, frames int) *lab {
	u, err := umem.New(umem.Config{Frames: frames})
	if err != nil {
		tb.Fatal(err)
	}
	pools, err := u.Split(1)
	if err != nil {
		tb.Fatal(err)
	}
	e, err := New(pools[0], cfg)
	if err != nil {
		tb.Fatal(err)
	}
	l := &lab{u: u, p: pools[0], e: e}
	tb.Cleanup(func() {
		if a := l.p.Audit(); a.Lost != 0 {
			tb.Errorf("ledger: %v", a)
		}
		if err := u.Close(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// load puts a burst into frames.
func (l *lab) load(pkts [][]byte) {
	var slots [burst]uint64
	l.p.Fill(slots[:len(pkts)])
	l.hs = l.hs[:0]
	for i, b := range pkts {
		addr := slots[i] + uint64(l.u.PacketOffset())
		copy(l.u.Memory()[addr:], b)
		h, _ := l.p.Receive(addr, uint32(len(b)))
		l.hs = append(l.hs, h)
	}
}

// pass is run without GRO: the cost of touching headers and delivering.
func (l *lab) pass() {
	for _, h := range l.hs {
		l.p.Deliver(h)
		l.p.ReleaseLocal(h, h.Gen())
	}
}

// run is what is timed.
func (l *lab) run() {
	l.e.Receive(l.hs)
	l.e.EndPoll(0, false)
	l.handOver()
}

func (l *lab) handOver() {
	for _, h := range l.e.Out() {
		l.p.Deliver(h)
		l.p.ReleaseLocal(h, h.Gen())
	}
	l.e.ResetOut()
}

func BenchmarkTraces(b *testing.B) {
	for _, tr := range traces {
		pkts := tr.make()
		for _, how := range []string{"verified", "trusted", "pass"} {
			b.Run(tr.name+"/"+how, func(b *testing.B) {
				cfg := Config{}
				if how == "trusted" {
					cfg.Verify = VerifyOff
				}
				if tr.udp {
					cfg.UDPPorts = []uint16{4433}
				}
				l := newLab(b, cfg, 4096)
				at := 0
				do := l.run
				if how == "pass" {
					do = l.pass
				}
				benchBursts(b, l, func() [][]byte {
					if at += burst; at+burst > len(pkts) {
						at = 0
					}
					return pkts[at : at+burst]
				}, do)
				b.ReportMetric(l.e.Stats().Ratio(), "ratio")
			})
		}
	}
}

// benchBursts times do over bursts from next and reports the median in ns per packet: neighbours on the machine disturb
// a mean.
func benchBursts(b *testing.B, l *lab, next func() [][]byte, do func()) {
	var took []time.Duration
	for b.Loop() {
		l.load(next())
		t := time.Now()
		do()
		took = append(took, time.Since(t))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/burst, "ns/pkt")
}
