package gro

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"xrx/umem"
)

// A fuzz input is a program: one byte of settings, then four bytes per step. A step is the next packet of one of 24
// flows, with one thing about it changed, or the end of a poll.
const stepLen = 4

var fuzzFlows = func() (out []spec) {
	o4, o6 := &spec{}, &spec{v6: true}
	ts := []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1}
	for i := range uint16(2) {
		p := 4000 + i
		out = append(out,
			spec{sport: p}, spec{sport: p + 2, opt: ts}, spec{sport: p, v6: true}, spec{sport: p + 2, v6: true, opt: ts},
			spec{sport: p, udp: true, dport: 4433}, spec{sport: p, udp: true, v6: true, dport: 4433},
			spec{sport: p, vlan: []uint32{0x8100<<16 | 5}}, spec{sport: p, v6: true, vlan: []uint32{0x88a8<<16 | 5, 0x8100<<16 | 6}},
			spec{sport: p, outer: o4}, spec{sport: p, v6: true, outer: o4}, spec{sport: p, outer: o6}, spec{sport: p, v6: true, outer: o6, udp: true, dport: 4433})
	}
	return
}()

// change applies mutation m with arguments a and b to the next packet of a flow.
func change(s *spec, m, a, b byte) {
	outer := spec{}
	if s.outer != nil {
		outer = *s.outer
		s.outer = &outer
	}
	switch m {
	case 0:
		s.flags = fACK | a&(fPSH|fFIN|fECE|fCWR)
	case 1:
		s.flags = a
	case 2:
		s.payload = s.payload[:min(len(s.payload), int(a))]
	case 3:
		s.payload = append(s.payload, make([]byte, int(a))...)
	case 4:
		s.win = 500 + uint16(a&3)
	case 5:
		s.ack = uint32(a & 3)
	case 6:
		s.seq += uint32(int32(int8(a)))
	case 7:
		s.opt = bytes.Repeat([]byte{a & 1}, int(b%11)*4)
	case 8:
		s.ttl = 60 + a&3
	case 9:
		s.tos = a & 3
	case 10:
		s.id += uint16(a&7) - 3
	case 11:
		s.noDF = true
	case 12:
		s.frag = uint16(a)<<8 | uint16(b)
	case 13:
		s.ipopt = make([]byte, int(a%3)*4)
	case 14:
		s.pad = int(a & 7)
	case 15:
		s.lenDelta = int(int8(a))
	case 16:
		s.badIP = true
	case 17:
		s.badSum = true
	case 18:
		s.partial = true
	case 19:
		s.zeroSum = true
	case 20:
		s.udpLen = int(int8(a))
	case 21:
		s.label = uint32(a & 1)
	case 22:
		s.extType, s.ext = []uint8{0, 43, 44, 60, 51, 135}[a%6], []byte{0, 0, 0, 0, 0, 0, 0, b & 1}
		if s.extType == 44 {
			s.ext[3] = b & 1
			s.ext[2] = b >> 7
		}
	case 23:
		s.vlan = []uint32{0x8100<<16 | uint32(a&1)}
	case 24:
		s.src = a & 1
	case 25:
		s.res = true
	case 26:
		outer.ttl = 60 + a&1
	case 27:
		outer.id = uint16(a & 7)
	case 28:
		outer.noDF = a&1 != 0
		outer.id = s.id + uint16(b&1)
	case 29:
		outer.tos = a & 1
		outer.label = uint32(b & 1)
	case 30:
		s.doff = a & 15
	case 31:
		s.ae = true
	case 32:
		s.raw = a
	case 33:
		outer.badIP = true
		outer.ipopt = make([]byte, int(a%2)*4)
	}
}

const changes = 34

// program runs data, and returns the packets in arrival order, the settings, and after which packets a poll ended.
func program(data []byte) (pkts [][]byte, cuts []int, polls map[int]bool, cfg Config) {
	cfg = Config{UDPPorts: []uint16{4433}, Flows: 32, Frames: 1 << 20}
	if len(data) == 0 {
		return
	}
	cfg.Profile = Profile(data[0] & 3 % 3)
	if data[0]&4 != 0 {
		cfg.List = ListUDP
	}
	if data[0]&8 != 0 && cfg.Profile != Linux69 {
		cfg.List |= ListTCP
	}
	if data[0]&16 != 0 {
		cfg.Flows = 2
	}
	cfg.KeepPartial = data[0]&32 != 0
	big := data[0]&64 != 0
	flows := append([]spec(nil), fuzzFlows...)
	polls = map[int]bool{}
	for data = data[1:]; len(data) >= stepLen && len(pkts) < 150; data = data[stepLen:] {
		op, m, a, b := data[0], data[1], data[2], data[3]
		if op >= 240 {
			polls[len(pkts)] = true
			continue
		}
		f := &flows[int(op)%len(flows)]
		s := *f
		size := 100
		if big {
			size = 1400
		}
		s.payload = bytes.Repeat([]byte{byte(len(pkts))}, size)
		fixed := m&0x40 != 0 // the ID stays
		m &^= 0x40
		if m < changes {
			change(&s, m, a, b)
		}
		pkt := s.build()
		if m >= 0x80 { // any byte of the headers, in any way
			pkt[int(a)%min(len(pkt), 120)] ^= b
		}
		cut := 0
		if op >= 200 {
			cut = 60 + int(b)
		}
		pkts, cuts = append(pkts, pkt), append(cuts, cut)
		f.seq += uint32(len(s.payload))
		if m == 11 || m == 28 || m == 27 { // stays for the flow
			f.noDF, f.outer = s.noDF, s.outer
		}
		if !fixed {
			f.id++
			if f.outer != nil {
				o := *f.outer
				o.id++
				f.outer = &o
			}
		}
	}
	return
}

// checkProgram runs packets through engine and oracle and compares.
func checkProgram(t *testing.T, pkts [][]byte, cuts []int, polls map[int]bool, cfg Config, batch int) {
	r := newRig(t, cfg, umem.Config{Frames: 1024})
	o := &oracle{cfg: r.e.Config()}
	var hs []*umem.Header
	flush := func() {
		r.give(hs...)
		hs = hs[:0]
	}
	for i, b := range pkts {
		if polls[i] {
			flush()
			r.poll()
			o.flush()
		}
		if cuts[i] != 0 && cuts[i] < len(b) {
			hs = append(hs, r.cut(b, max(cuts[i], 300))) // the headers are in the first buffer, as from any device
		} else {
			hs = append(hs, r.frame(b))
		}
		o.receive(i, b)
		if len(hs) == batch {
			flush()
		}
	}
	flush()
	r.poll()
	o.flush()
	gs := r.take()
	// Conservation, handles: what comes out is what went in, each packet once (the ledger is checked at the end).
	at := 0
	var got []string
	seen := map[string]int{} // flow -> last index
	used := make([]bool, len(pkts))
	for n, g := range gs {
		var idx []int
		var payload []byte
		for _, w := range g.wire {
			k := -1
			for i := range pkts {
				if !used[i] && bytes.Equal(pkts[i], w) {
					k = i
					break
				}
			}
			if k < 0 {
				t.Fatalf("delivered packet %d: a wire packet that did not arrive", n)
			}
			used[k] = true
			idx = append(idx, k)
			p := oracleParse(w, cfg)
			payload = append(payload, p.pay...)
			if p.keyed { // Conservation, order: a flow's packets come out as they went in
				if last, ok := seen[p.key]; ok && k < last {
					t.Fatalf("packet %d delivered after %d of the same flow", k, last)
				}
				seen[p.key] = k
			}
			at++
		}
		if g.segs > 1 && !g.list && !bytes.HasSuffix(g.b, payload) {
			t.Fatalf("delivered packet %d: payload is not that of its packets", n)
		}
		got = append(got, strings.Trim(fmt.Sprint(idx), "[]"))
	}
	if at != len(pkts) {
		t.Fatalf("%d packets in, %d out", len(pkts), at)
	}
	if a, b := strings.Join(got, "|"), strings.Join(o.out, "|"); a != b {
		t.Fatalf("%v %+v\nengine %s\noracle %s\nnormal %v\nflush %v", cfg.Profile, cfg, a, b, named(r.e.Stats().Normal), named(r.e.Stats().Flush))
	}
	r.settled()
}

// randomProgram writes a program that is mostly undisturbed runs.
func randomProgram(r *rand.Rand, steps int) []byte {
	data := []byte{byte(r.Uint32())}
	flows := 1 + r.IntN(6)
	base := r.IntN(len(fuzzFlows))
	for range steps {
		op := byte((base + r.IntN(flows)) % len(fuzzFlows))
		m := byte(0x3f) // nothing
		if r.IntN(4) == 0 {
			m = byte(r.IntN(changes))
		}
		if r.IntN(40) == 0 {
			m = 0x80
		}
		if r.IntN(8) == 0 {
			m |= 0x40
		}
		if r.IntN(60) == 0 {
			op = 250
		}
		if r.IntN(20) == 0 {
			op = op%24 + 216
		}
		data = append(data, op, m, byte(r.Uint32()), byte(r.Uint32()))
	}
	return data
}

func TestEngineAndOracleAgreeOnRandomTraffic(t *testing.T) {
	n := 600
	if testing.Short() {
		n = 100
	}
	for seed := range n {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		data := randomProgram(r, 5+r.IntN(120))
		pkts, cuts, polls, cfg := program(data)
		checkProgram(t, pkts, cuts, polls, cfg, 1+r.IntN(64))
		if t.Failed() {
			t.Fatalf("seed %d: %x", seed, data)
		}
	}
}

func FuzzConservationAndOracle(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		pkts, cuts, polls, cfg := program(data)
		checkProgram(t, pkts, cuts, polls, cfg, 64)
	})
}

// FuzzArbitraryBytes gives bytes that may be anything as packets, three at a time so that they can meet themselves.
func FuzzArbitraryBytes(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte, cut uint16, mode byte) {
		if len(b) > 1600 {
			return
		}
		cfg := Config{Profile: Profile(mode & 3 % 3), UDPPorts: []uint16{4433}, Flows: 4, Frames: 1000, Off: mode&4 != 0, MTU: int(mode&8) * 20}
		if mode&16 != 0 {
			cfg.Verify = VerifyOff
		}
		if mode&32 != 0 {
			cfg.List = ListUDP
		}
		r := newRig(t, cfg, umem.Config{Frames: 512})
		in := [][]byte{b, b, b}
		for _, x := range in {
			if n := int(cut); n > 0 && len(x)/n < 100 {
				r.give(r.cut(x, n))
			} else {
				r.recv(x)
			}
		}
		r.poll()
		n := 0
		for _, g := range r.take() {
			for _, w := range g.wire {
				if !bytes.Equal(w, b) {
					t.Fatal("a packet came out changed")
				}
				n++
			}
		}
		if n != len(in) {
			t.Fatalf("%d packets of %d came out", n, len(in))
		}
		r.settled()
	})
}

func TestCorpusIsCommitted(t *testing.T) {
	for _, name := range []string{"FuzzConservationAndOracle", "FuzzArbitraryBytes"} {
		if m, _ := filepath.Glob(filepath.Join("testdata", "fuzz", name, "*")); len(m) < 5 {
			t.Errorf("%s: %d inputs", name, len(m))
		}
	}
}
