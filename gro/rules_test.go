package gro

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"xrx/umem"
)

// A case is a batch of packets and what must become of them, written as indices in order of delivery: "0+1|2" says that
// packets 0 and 1 were delivered as one during Receive, and 2 alone at the end of the poll.
type ruleCase struct {
	rule, name string
	cfg        Config
	pkts       []spec
	want       string
	normal     Reason // must have been counted in Normal, unless None
	flush      Reason // must have been counted in Flush, unless None
}

// run gives the packets to a new engine as one batch, ends the poll, and returns what became of them.
func run(t *testing.T, cfg Config, pkts [][]byte) (string, *Stats, []got) {
	t.Helper()
	r := newRig(t, cfg, umem.Config{})
	r.recv(pkts...)
	during := r.take()
	r.poll()
	after := r.take()
	used := make([]bool, len(pkts))
	show := func(gs []got) string {
		var out []string
		for _, g := range gs {
			var parts []string
			for _, w := range g.wire {
				for i := range pkts {
					if !used[i] && bytes.Equal(pkts[i], w) {
						used[i] = true
						parts = append(parts, fmt.Sprint(i))
						break
					}
				}
			}
			if len(parts) != len(g.wire) {
				t.Fatalf("a packet came out that never went in")
			}
			out = append(out, strings.Join(parts, "+"))
		}
		return strings.Join(out, " ")
	}
	res := show(during) + "|" + show(after)
	for i, u := range used {
		if !u {
			t.Fatalf("packet %d did not come out", i)
		}
	}
	return res, r.e.Stats(), append(during, after...)
}

func (c ruleCase) check(t *testing.T) {
	t.Helper()
	var pkts [][]byte
	for _, s := range c.pkts {
		pkts = append(pkts, s.build())
	}
	got, st, _ := run(t, c.cfg, pkts)
	if got != c.want {
		t.Errorf("%s\ngot  %s\nwant %s\nnormal %v\nflush %v", c.name, got, c.want, named(st.Normal), named(st.Flush))
	}
	if c.normal != None && st.Normal[c.normal] == 0 {
		t.Errorf("%s: normal reason %v not counted, but %v", c.name, c.normal, named(st.Normal))
	}
	if c.flush != None && st.Flush[c.flush] == 0 {
		t.Errorf("%s: flush reason %v not counted, but %v", c.name, c.flush, named(st.Flush))
	}
	for _, r := range []Reason{c.normal, c.flush} {
		if r != None && !strings.Contains(r.Rule(), strings.TrimRight(c.rule, "abcdefgh")) && c.rule != "T10" && c.rule != "T15" {
			t.Errorf("reason %v cites %q, the test is for %s", r, r.Rule(), c.rule)
		}
	}
}

// named is the non-zero part of a counter array.
func named(a [NumReasons]uint64) map[string]uint64 {
	m := map[string]uint64{}
	for r, n := range a {
		if n != 0 {
			m[Reason(r).String()] = n
		}
	}
	return m
}

// seq returns n packets of 100 bytes of payload that follow each other, each changed by the function of its index.
func seq(n int, base spec, change ...func(i int, s *spec)) (out []spec) {
	size := 100
	if base.seq == 0 {
		base.seq = 1000
	}
	for i := range n {
		s := base
		s.payload = bytes.Repeat([]byte{byte('a' + i)}, size)
		for _, f := range change {
			f(i, &s)
		}
		out = append(out, s)
		base.seq += uint32(len(s.payload))
		base.id++
	}
	return out
}

// at changes packet k only.
func at(k int, f func(s *spec)) func(int, *spec) {
	return func(i int, s *spec) {
		if i == k {
			f(s)
		}
	}
}

// from changes packet k and all later ones.
func from(k int, f func(s *spec)) func(int, *spec) {
	return func(i int, s *spec) {
		if i >= k {
			f(s)
		}
	}
}

var (
	v4   = spec{}
	v6   = spec{v6: true}
	udp4 = spec{udp: true, dport: 4433}
	udp6 = spec{udp: true, v6: true, dport: 4433}

	p618 = Config{Profile: Linux618}
	p7   = Config{Profile: Linux7}
	quic = Config{UDPPorts: []uint16{4433}}
)

func both(name string, cs []ruleCase, cfgs ...Config) (out []ruleCase) {
	for _, cfg := range cfgs {
		for _, c := range cs {
			c.cfg.Profile = cfg.Profile
			c.name = cfg.Profile.String() + ": " + name + c.name
			out = append(out, c)
		}
	}
	return out
}

func runCases(t *testing.T, cases []ruleCase) {
	for _, c := range cases {
		t.Run(c.rule+" "+c.name, func(t *testing.T) { c.check(t) })
	}
}

// inAll runs cases under every profile: rules that do not differ.
func inAll(t *testing.T, cases []ruleCase) { runCases(t, both("", cases, Config{}, p618, p7)) }

func ids(v ...uint16) func(int, *spec) { return func(i int, s *spec) { s.id = v[i] } }

func TestFlowRules(t *testing.T) {
	mac := func(s *spec) { s.src = 9 }
	vlan := func(v ...uint32) func(s *spec) { return func(s *spec) { s.vlan = v } }
	two := func(f func(*spec)) []spec { // two interleaved flows, the second changed
		var out []spec
		for i, s := range seq(3, v4) {
			o := seq(3, v4)[i]
			f(&o)
			out = append(out, s, o)
		}
		return out
	}
	inAll(t, []ruleCase{
		{rule: "F1", name: "a run of one flow is one packet", pkts: seq(4, v4), want: "|0+1+2+3", flush: None},
		{rule: "F1", name: "nine interleaved flows all coalesce", pkts: interleave(9, 3), want: "|0+9+18 1+10+19 2+11+20 3+12+21 4+13+22 5+14+23 6+15+24 7+16+25 8+17+26"},
		{rule: "F2", name: "another Ethernet source is another flow", pkts: two(mac), want: "|0+2+4 1+3+5"},
		{rule: "F2", name: "another Ethernet destination is another flow", pkts: two(func(s *spec) { s.dst = 9 }), want: "|0+2+4 1+3+5"},
		{rule: "F4", name: "equal VLAN tags merge", pkts: seq(3, spec{vlan: []uint32{0x8100<<16 | 5}}), want: "|0+1+2"},
		{rule: "F4", name: "another VLAN is another flow", pkts: two(vlan(0x8100<<16 | 6)), want: "|0+2+4 1+3+5"},
		{rule: "F4", name: "another priority in the tag is another flow", pkts: seq(2, v4, at(0, vlan(0x8100<<16|6)), at(1, vlan(0x8100<<16|6|1<<13))), want: "|0 1"},
		{rule: "F4", name: "802.1ad is not 802.1Q", pkts: seq(2, v4, at(0, vlan(0x8100<<16|6)), at(1, vlan(0x88a8<<16|6))), want: "|0 1"},
		{rule: "F4", name: "equal QinQ tags merge", pkts: seq(3, spec{vlan: []uint32{0x88a8<<16 | 5, 0x8100<<16 | 6}}), want: "|0+1+2"},
		{rule: "F4", name: "another inner tag is another flow", pkts: seq(2, v4, at(0, vlan(0x88a8<<16|5, 0x8100<<16|6)), at(1, vlan(0x88a8<<16|5, 0x8100<<16|7))), want: "|0 1"},
		{rule: "F4", name: "another inner tag type is another flow", pkts: seq(2, v4, at(0, vlan(0x88a8<<16|5, 0x8100<<16|6)), at(1, vlan(0x88a8<<16|5, 0x88a8<<16|6))), want: "|0 1"},
		{rule: "F4", name: "something that is not IP in a VLAN is delivered", pkts: seq(1, spec{vlan: []uint32{0x8100<<16 | 5}, ethertype: 0x0806}), want: "0|", normal: VLANType},
		{rule: "F4", name: "a third tag is delivered", pkts: seq(1, spec{vlan: []uint32{0x88a8<<16 | 5, 0x8100<<16 | 6, 0x8100<<16 | 7}}), want: "0|", normal: VLANType},
		{rule: "F5", name: "nothing merges when GRO is off", cfg: Config{Off: true}, pkts: seq(3, v4), want: "0 1 2|", normal: Off},
		{rule: "F6", name: "ARP is delivered and leaves P held", pkts: append(seq(2, v4), spec{ethertype: 0x0806}), want: "2|0+1", normal: NotIP},
		{rule: "F6", name: "ICMP is delivered and leaves P held", pkts: append(seq(2, v4), spec{raw: 1, payload: make([]byte, 40)}), want: "2|0+1", normal: Protocol},
		{rule: "F7", name: "TCP and UDP with equal ports are two flows", cfg: quic, pkts: append(seq(2, spec{dport: 4433}), seq(2, udp4)...), want: "|0+1 2+3"},
		{rule: "T2", name: "another source port is another flow", pkts: two(func(s *spec) { s.sport = 7 }), want: "|0+2+4 1+3+5"},
		{rule: "T2", name: "another destination port is another flow", pkts: two(func(s *spec) { s.dport = 7 }), want: "|0+2+4 1+3+5"},
		{rule: "V6", name: "another address is another flow", pkts: two(func(s *spec) { s.saddr = 7 }), want: "|0+2+4 1+3+5"},
	})
}

func interleave(flows, n int) (out []spec) {
	for i := range n {
		for f := range flows {
			out = append(out, seq(n, spec{saddr: uint16(f)})[i])
		}
	}
	return out
}

func TestIPv4Rules(t *testing.T) {
	inAll(t, []ruleCase{
		{rule: "V1", name: "IP options complete P first", pkts: seq(3, v4, at(1, func(s *spec) { s.ipopt = []byte{1, 1, 1, 0} })), want: "0 1|2", normal: IPv4Options, flush: IPv4Options},
		{rule: "V1", name: "version 5 is delivered", pkts: seq(1, spec{v6: true, ethertype: 0x0800}), want: "0|", normal: IPv4Version},
		{rule: "V2", name: "a first fragment completes P first", pkts: seq(3, v4, at(1, func(s *spec) { s.frag = 0x2000 })), want: "0 1|2", normal: IPv4Fragment, flush: IPv4Fragment},
		{rule: "V2", name: "a later fragment has no ports to find P by", pkts: seq(3, v4, at(1, func(s *spec) { s.frag = 0x0010 })), want: "1 0|2", normal: IPv4Fragment},
		{rule: "V3", name: "a bad header checksum completes P first and is not repaired", pkts: seq(3, v4, at(1, func(s *spec) { s.badIP = true })), want: "0 1|2", normal: IPv4Checksum, flush: IPv4Checksum},
		{rule: "V3", name: "a bad header checksum of the first packet is not laundered", pkts: seq(2, v4, at(0, func(s *spec) { s.badIP = true })), want: "0|1", normal: IPv4Checksum},
		{rule: "V4", name: "Ethernet padding is not payload", pkts: seq(3, v4, at(1, func(s *spec) { s.pad = 6 })), want: "0 1|2", normal: IPv4Length, flush: IPv4Length},
		{rule: "V4", name: "a truncated packet completes P", pkts: seq(3, v4, at(1, func(s *spec) { s.lenDelta = 6 })), want: "0 1|2", normal: IPv4Length, flush: IPv4Length},
		{rule: "V5", name: "the reserved bit completes P", pkts: seq(3, v4, at(1, func(s *spec) { s.res = true })), want: "0 1|2", normal: IPv4Reserved, flush: IPv4Reserved},
		{rule: "V7", name: "another TTL completes P and starts a new one", pkts: seq(4, v4, from(2, func(s *spec) { s.ttl = 63 })), want: "0+1|2+3", flush: IPv4TTL},
		{rule: "V8", name: "another DSCP completes P", pkts: seq(4, v4, from(2, func(s *spec) { s.tos = 0x28 })), want: "0+1|2+3", flush: IPv4TOS},
		{rule: "V8", name: "an ECN mark completes P", pkts: seq(4, spec{tos: 2}, at(2, func(s *spec) { s.tos = 3 })), want: "0+1 2|3", flush: IPv4TOS},
		{rule: "V9", name: "another DF completes P", pkts: seq(4, v4, from(2, func(s *spec) { s.noDF = true })), want: "0+1|2+3", flush: IPv4DF},
		{rule: "V10a", name: "without DF the ID must count", pkts: seq(4, spec{noDF: true}), want: "|0+1+2+3"},
		{rule: "V10a", name: "without DF a gap in the ID completes P", pkts: seq(3, spec{noDF: true}, ids(5, 6, 8)), want: "0+1|2", flush: IPv4ID},
		{rule: "V10b", name: "with DF the ID may stay", pkts: seq(3, v4, ids(7, 7, 7)), want: "|0+1+2"},
		{rule: "V10b", name: "with DF the ID may count", pkts: seq(3, v4, ids(7, 8, 9)), want: "|0+1+2"},
		{rule: "V10b", name: "counting, then a repetition, stops", pkts: seq(4, v4, ids(7, 8, 9, 7)), want: "0+1+2|3", flush: IPv4ID},
		{rule: "V10b", name: "counting, then the same ID twice, stops", pkts: seq(4, v4, ids(7, 8, 8, 9)), want: "0+1|2+3", flush: IPv4ID},
		{rule: "V10b", name: "staying, then counting, stops", pkts: seq(4, v4, ids(7, 7, 8, 9)), want: "0+1|2+3", flush: IPv4ID},
		{rule: "V10b", name: "staying, then the packets' count, stops", pkts: seq(3, v4, ids(7, 7, 9)), want: "0+1|2", flush: IPv4ID},
		{rule: "V10b", name: "a jump completes P", pkts: seq(3, v4, ids(7, 17, 18)), want: "0|1+2", flush: IPv4ID},
		{rule: "V10c", name: "the ID wraps", pkts: seq(4, spec{noDF: true}, ids(0xfffe, 0xffff, 0, 1)), want: "|0+1+2+3"},
	})
	fixed := seq(3, spec{noDF: true}, ids(7, 7, 7))
	runCases(t, []ruleCase{
		{rule: "V10a", name: "6.9: without DF a fixed ID never merges", pkts: fixed, want: "0 1|2", flush: IPv4ID},
		{rule: "V10", name: "6.18: without DF a fixed ID merges", cfg: p618, pkts: fixed, want: "|0+1+2"},
		{rule: "V10", name: "7: without DF a fixed ID merges", cfg: p7, pkts: fixed, want: "|0+1+2"},
	})
}

func TestIPv6Rules(t *testing.T) {
	ext := func(typ uint8, b ...byte) func(*spec) { return func(s *spec) { s.extType, s.ext = typ, b } }
	pad := []byte{6, 0, 1, 4, 0, 0, 0, 0}
	other := []byte{6, 0, 0, 1, 2, 0, 0, 0}
	frag := []byte{6, 0, 0, 1, 0, 0, 0, 9}
	later := []byte{6, 0, 0, 8, 0, 0, 0, 9}
	inAll(t, []ruleCase{
		{rule: "W1", name: "Ethernet padding is not payload", pkts: seq(3, v6, at(1, func(s *spec) { s.pad = 6 })), want: "0 1|2", normal: IPv6Length, flush: IPv6Length},
		{rule: "W1", name: "a truncated packet completes P", pkts: seq(3, v6, at(1, func(s *spec) { s.lenDelta = 4 })), want: "0 1|2", normal: IPv6Length, flush: IPv6Length},
		{rule: "W1", name: "version 4 under the IPv6 EtherType is delivered", pkts: seq(1, spec{ethertype: 0x86dd}), want: "0|", normal: IPv6Version},
		{rule: "W2", name: "hop-by-hop options are walked", pkts: seq(3, v6, from(0, ext(0, pad...))), want: "|0+1+2"},
		{rule: "W2", name: "routing and destination headers are walked", pkts: seq(3, v6, from(0, ext(43, append([]byte{60, 0, 1, 4, 0, 0, 0, 0}, pad...)...))), want: "|0+1+2"},
		{rule: "W2", name: "a first fragment completes P first", pkts: seq(3, v6, at(1, ext(44, frag...))), want: "0 1|2", normal: IPv6Fragment, flush: IPv6Fragment},
		{rule: "W2", name: "a later fragment leaves P held", pkts: seq(3, v6, at(1, ext(44, later...))), want: "1 0|2", normal: IPv6Fragment},
		{rule: "W2", name: "an authentication header is delivered", pkts: seq(3, v6, at(1, ext(51, pad...))), want: "1 0|2", normal: IPv6Extension},
		{rule: "W3", name: "another flow label is another flow", pkts: seq(4, v6, func(i int, s *spec) { s.label = uint32(i % 2); s.seq = 1000 + uint32(i/2)*100 }), want: "|0+2 1+3"},
		{rule: "W3", name: "other extension headers are another flow", pkts: seq(4, v6, func(i int, s *spec) {
			s.seq = 1000 + uint32(i/2)*100
			ext(60, [][]byte{pad, other}[i%2]...)(s)
		}), want: "|0+2 1+3"},
		{rule: "W3", name: "with and without extension headers are two flows", pkts: seq(4, v6, func(i int, s *spec) {
			s.seq = 1000 + uint32(i/2)*100
			if i%2 == 1 {
				ext(60, pad...)(s)
			}
		}), want: "|0+2 1+3"},
		{rule: "W3", name: "another extension type is another flow", pkts: seq(4, v6, func(i int, s *spec) {
			s.seq = 1000 + uint32(i/2)*100
			ext(uint8(60*(i%2)), pad...)(s)
		}), want: "|0+2 1+3"},
		{rule: "W3", name: "another address is another flow", pkts: seq(4, v6, func(i int, s *spec) { s.saddr = uint16(i % 2); s.seq = 1000 + uint32(i/2)*100 }), want: "|0+2 1+3"},
		{rule: "W4", name: "another traffic class completes P", pkts: seq(4, v6, from(2, func(s *spec) { s.tos = 3 })), want: "0+1|2+3", flush: IPv6Class},
		{rule: "W4", name: "another hop limit completes P", pkts: seq(4, v6, from(2, func(s *spec) { s.ttl = 3 })), want: "0+1|2+3", flush: IPv6Hop},
		{rule: "W5", name: "there is no ID", pkts: seq(4, v6, ids(1, 9, 3, 7)), want: "|0+1+2+3"},
	})
}
