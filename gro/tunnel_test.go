package gro

import "testing"

func TestTunnelRules(t *testing.T) {
	o4, o6 := &spec{}, &spec{v6: true}
	out := func(f func(i int, o *spec)) func(int, *spec) {
		return func(i int, s *spec) {
			o := *s.outer
			f(i, &o)
			s.outer = &o
		}
	}
	for _, inner := range []spec{v4, v6, udp4} {
		for _, o := range []*spec{o4, o6} {
			base := inner
			base.outer = o
			cases := []ruleCase{
				{rule: "E2", name: "tunnelled packets merge", pkts: seq(4, base), want: "|0+1+2+3"},
				{rule: "E2", name: "another outer TTL completes P", pkts: seq(4, base, out(func(i int, o *spec) { o.ttl = uint8(9 - i/2) })), want: "0+1|2+3", flush: OuterHeader},
				{rule: "E2", name: "another outer TOS completes P", pkts: seq(4, base, out(func(i int, o *spec) { o.tos = uint8(i / 2) })), want: "0+1|2+3", flush: OuterHeader},
				{rule: "E2", name: "another outer source is another flow", pkts: seq(4, base, out(func(i int, o *spec) { o.saddr = uint16(i % 2) }), func(i int, s *spec) { s.seq = 1000 + 100*uint32(i/2); s.id = uint16(i / 2) }), want: "|0+2 1+3"},
				{rule: "E2", name: "the same inner flow outside of the tunnel is another flow", pkts: seq(4, base, func(i int, s *spec) {
					s.seq, s.id = 1000+100*uint32(i/2), uint16(i/2)
					if i%2 == 1 {
						s.outer = nil
					}
				}), want: "|0+2 1+3"},
				{rule: "E2", name: "Ethernet padding is not payload", pkts: seq(3, base, at(1, func(s *spec) { s.pad = 4 })), want: "0 1|2"},
			}
			if o.v6 {
				cases = append(cases, ruleCase{rule: "E2", name: "another outer flow label is another flow", pkts: seq(4, base, out(func(i int, o *spec) { o.label = uint32(i % 2) }), func(i int, s *spec) { s.seq = 1000 + 100*uint32(i/2); s.id = uint16(i / 2) }), want: "|0+2 1+3"})
			} else {
				cases = append(cases,
					ruleCase{rule: "E2", name: "another outer DF completes P", pkts: seq(4, base, out(func(i int, o *spec) { o.noDF = i > 1; o.id = uint16(i) })), want: "0+1|2+3", flush: OuterHeader},
					ruleCase{rule: "E6", name: "an outer ID that counts merges", pkts: seq(3, base, out(func(i int, o *spec) { o.id = uint16(i) })), want: "|0+1+2"},
					ruleCase{rule: "E6", name: "an outer ID that stays merges with DF", pkts: seq(3, base), want: "|0+1+2"},
					ruleCase{rule: "V3", name: "a bad outer checksum completes P first", pkts: seq(3, base, out(func(i int, o *spec) { o.badIP = i == 1 })), want: "0 1|2", normal: IPv4Checksum},
					ruleCase{rule: "V1", name: "outer options complete P first", pkts: seq(3, base, out(func(i int, o *spec) {
						if i == 1 {
							o.ipopt = []byte{1, 1, 1, 1}
						}
					})), want: "0 1|2", normal: IPv4Options})
				jump := seq(3, base, out(func(i int, o *spec) { o.id = uint16(17 * i) }))
				count := seq(3, base, out(func(i int, o *spec) { o.id, o.noDF = uint16(i), true }))
				stay := seq(3, base, out(func(i int, o *spec) { o.noDF = true }))
				runCases(t, both("", withUDP([]ruleCase{{rule: "E6", name: "without DF a counting outer ID merges", pkts: count, want: "|0+1+2"}}), Config{}, p618, p7))
				runCases(t, withUDP([]ruleCase{
					{rule: "E6", name: "6.9: with DF any outer ID merges", pkts: jump, want: "|0+1+2"},
					{rule: "E6", name: "6.18: a jumping outer ID completes P", cfg: p618, pkts: jump, want: "0 1|2", flush: OuterID},
					{rule: "E6", name: "7: a jumping outer ID completes P", cfg: p7, pkts: jump, want: "0 1|2", flush: OuterID},
					{rule: "E6", name: "6.9: without DF a fixed outer ID completes P", pkts: stay, want: "0 1|2", flush: OuterID},
					{rule: "E6", name: "6.18: without DF a fixed outer ID merges", cfg: p618, pkts: stay, want: "|0+1+2"},
				}))
			}
			inAll(t, withUDP(cases))
		}
	}
	runCases(t, []ruleCase{
		{rule: "E1", name: "a tunnel in a tunnel is delivered", pkts: []spec{{raw: 4, payload: make([]byte, 40), outer: o4}}, want: "0|", normal: None},
		{rule: "E1", name: "4in4in4 is delivered", pkts: []spec{{raw: 41, payload: spec{v6: true}.build()[14:], outer: o4}}, want: "0|", normal: TunnelNested},
		{rule: "E3", name: "GRE is delivered", pkts: []spec{{raw: 47, payload: make([]byte, 40)}}, want: "0|", normal: TunnelGRE},
		{rule: "W3", name: "inner extension headers are part of a tunnelled flow", pkts: seq(4, spec{v6: true, outer: o4}, func(i int, s *spec) {
			s.seq = 1000 + 100*uint32(i/2)
			s.extType, s.ext = 60, []byte{6, 0, 1, 4, 0, 0, 0, byte(i % 2)}
		}), want: "|0+2 1+3"},
	})
}

func withUDP(cs []ruleCase) []ruleCase {
	for i := range cs {
		cs[i].cfg.UDPPorts = []uint16{4433, 5201}
	}
	return cs
}
