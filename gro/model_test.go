package gro

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"xrx/umem"
)

func TestPlainPacketsAreParsedAlikeOnBothPaths(t *testing.T) {
	r := newRig(t, Config{UDPPorts: []uint16{4433}}, umem.Config{Frames: 1024})
	rn := rand.New(rand.NewPCG(1, 2))
	plain := 0
	for range 200 {
		pkts, _, _, _ := program(randomProgram(rn, 30))
		for _, b := range pkts {
			h := r.frame(b)
			var a, p pkt
			if r.e.plain(h, &p) == parsed {
				plain++
				sumA := h.Csum
				h.Csum = umem.CsumUnknown
				r.e.parse(h, &a)
				if a != p || sumA != h.Csum {
					t.Fatalf("%x\nplain %+v %v\nparse %+v %v", b, p, sumA, a, h.Csum)
				}
			}
			r.p.Drop(h)
		}
	}
	if plain < 1000 {
		t.Errorf("only %d packets took the fast path", plain)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	for _, tr := range traces {
		pkts := tr.make()
		l := newLab(t, Config{UDPPorts: []uint16{4433}}, 256)
		at := 0
		if n := testing.AllocsPerRun(50, func() {
			l.load(pkts[at : at+burst])
			at = (at + burst) % (len(pkts) - burst)
			l.run()
		}); n != 0 {
			t.Errorf("%s: %v allocations per burst", tr.name, n)
		}
	}
	var pkts [][]byte // whatever takes the slow path
	for seed := range 20 {
		p, _, _, _ := program(randomProgram(rand.New(rand.NewPCG(uint64(seed), 9)), 64))
		for _, b := range p {
			if len(b) <= 1600 {
				pkts = append(pkts, b)
			}
		}
	}
	l := newLab(t, Config{Profile: Linux618, List: ListTCP | ListUDP, UDPPorts: []uint16{4433}, Flush: 1}, 1024)
	at := 0
	if n := testing.AllocsPerRun(50, func() {
		l.load(pkts[at : at+burst])
		at = (at + burst) % (len(pkts) - burst)
		l.e.Receive(l.hs)
		l.e.EndPoll(int64(at), false)
		l.e.NextDeadline()
		l.handOver()
	}); n != 0 {
		t.Errorf("random traffic: %v allocations per burst", n)
	}
	l.e.FlushAll()
	l.handOver()
	vec, buf, sp := make([][]byte, 0, 64), make([]byte, 65600), new(Splitter)
	l = newLab(t, Config{}, 256)
	l.load(trace(burst, 1, 900, spec{}, func(int) int { return 0 }))
	l.e.Receive(l.hs)
	l.e.FlushAll()
	h := l.e.Out()[0]
	if n := testing.AllocsPerRun(50, func() {
		vec = AppendPieces(vec[:0], l.u, h)
		CopyTo(buf, l.u, h)
		for b := range Pieces(l.u, h) {
			buf[0] = b[0]
		}
		for w := range sp.Wire(l.u, h) {
			buf[0] = w[0][0]
		}
	}); n != 0 {
		t.Errorf("consumer's view: %v allocations", n)
	}
	l.handOver()
}

// The cost of finding a flow is the number of entries visited: it must not grow with the number of flows.
func TestFindingAFlowTakesConstantSteps(t *testing.T) {
	sizes := []int{64, 10_000, 1_000_000}
	if testing.Short() {
		sizes = sizes[:2]
	}
	r := newRig(t, Config{}, smallPool)
	for _, n := range sizes {
		e, err := New(r.p, Config{Flows: n})
		if err != nil {
			t.Fatal(err)
		}
		var pk pkt
		flow := func(f int) { // consecutive addresses and ports, as from a subnet behind a NAT
			pk.k2 = uint64(f/1000)<<32 | 0x0100010a
			pk.k3 = uint64(f%1000)<<16 | 0x5114 | protoTCP<<56
			e.seal(&pk)
		}
		for f := range n {
			flow(f)
			_, en := e.insert(pk.hash)
			en.key = pk.key
		}
		steps, worst := 0, 0
		for f := range n {
			flow(f)
			k := 1
			for i := e.heads[pk.hash&e.mask]; e.ents[i].key != pk.key; i = e.ents[i].next {
				k++
			}
			steps += k
			worst = max(worst, k)
		}
		if avg := float64(steps) / float64(n); avg > 1.5 || worst > 16 {
			t.Errorf("%d flows: %.2f entries per lookup, at most %d", n, avg, worst)
		}
	}
}

func TestMergedPacketsSurviveAConsumerThatKeepsThem(t *testing.T) {
	r := newRig(t, Config{}, umem.Config{Frames: 256})
	in := stream(v4, 10, 700)
	var hs []*umem.Header
	for _, b := range in {
		hs = append(hs, r.frame(b))
	}
	r.e.Receive(hs)
	r.e.FlushAll()
	h := r.e.Out()[0]
	r.p.Deliver(h)
	r.e.ResetOut()
	gen := h.Gen()
	for range 20 { // traffic goes on in the other frames
		r.recv(stream(v6, 20, 700)...)
		r.poll()
	}
	i := 0
	for w := range Resegment(r.u, h) {
		if !bytes.Equal(bytes.Join(w, nil), in[i]) {
			t.Fatalf("packet %d differs", i)
		}
		i++
	}
	r.p.Release(h, gen)
	r.p.Reclaim()
}

func TestEveryReasonHasANameARuleAndASentence(t *testing.T) {
	seen := map[string]bool{}
	for r := Reason(1); r < NumReasons; r++ {
		if r.String() == "" || r.Rule() == "" || r.Doc() == "" || seen[r.String()] {
			t.Errorf("reason %d: %q %q %q", r, r.String(), r.Rule(), r.Doc())
		}
		seen[r.String()] = true
	}
	if NumReasons.String() != "invalid" {
		t.Error("a name for no reason")
	}
}

func TestProfilesHaveNames(t *testing.T) {
	for _, p := range []Profile{Linux69, Linux618, Linux7} {
		if q, err := ParseProfile(p.String()); err != nil || q != p {
			t.Error(p, q, err)
		}
	}
	if _, err := ParseProfile("linux5"); err == nil {
		t.Error("linux5 accepted")
	}
}

// BenchmarkFlows is the cost per packet by the number of flows in the traffic (none repeats within a burst), and by
// the number of flows held under a hold timer.
func BenchmarkFlows(b *testing.B) {
	for _, held := range []bool{false, true} {
		for _, flows := range []int{64, 10_000, 1_000_000} {
			name := fmt.Sprintf("seen/%d", flows)
			cfg, frames := Config{}, 4096
			if held {
				if flows > 10_000 {
					continue // 2 GB of frames
				}
				name = fmt.Sprintf("held/%d", flows)
				cfg, frames = Config{Flows: flows, Flush: 1 << 40, Frames: 1 << 30}, flows+4096
			}
			b.Run(name, func(b *testing.B) {
				l := newLab(b, cfg, frames)
				base := spec{payload: make([]byte, 1000)}.build()
				f := 0
				benchBursts(b, l, func() [][]byte {
					return nextFlows(base, &f, flows)
				}, func() {
					l.e.Receive(l.hs)
					if !held {
						l.e.EndPoll(0, false)
					}
					l.handOver()
				})
				l.e.FlushAll()
				l.handOver()
			})
		}
	}
}

var nextBuf [burst][]byte

// nextFlows returns a burst of packets of the next 64 flows: base with other addresses and ports, and its checksums
// moved along.
func nextFlows(base []byte, f *int, flows int) [][]byte {
	for i := range nextBuf {
		b := append(nextBuf[i][:0], base...)
		b[27], b[28], b[29] = byte(*f>>16), byte(*f>>8), byte(*f)
		be.PutUint16(b[34:], uint16(20000+*f%40000))
		be.PutUint16(b[24:], 0)
		be.PutUint16(b[24:], ^slowSum20(b[14:34]))
		d := uint32(^be.Uint16(base[50:])) + uint32(b[27]) + uint32(be.Uint16(b[28:])) + uint32(be.Uint16(b[34:])) +
			uint32(^be.Uint16(base[26:])) + uint32(be.Uint16(b[26:])) - uint32(b[27]) + uint32(^be.Uint16(base[28:])) + uint32(^be.Uint16(base[34:]))
		for d > 0xffff {
			d = d&0xffff + d>>16
		}
		be.PutUint16(b[50:], ^uint16(d))
		nextBuf[i] = b
		if *f++; *f == flows {
			*f = 0
		}
	}
	return nextBuf[:]
}

func slowSum20(b []byte) uint16 {
	var s uint32
	for i := 0; i < 20; i += 2 {
		s += uint32(be.Uint16(b[i:]))
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
