package gro

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"xrx/umem"
)

var smallPool = umem.Config{Frames: 128}

func upTo(n int) string {
	var s []string
	for i := range n {
		s = append(s, fmt.Sprint(i))
	}
	return strings.Join(s, "+")
}

func TestUDPRules(t *testing.T) {
	for _, ip := range []spec{udp4, udp6} {
		cases := []ruleCase{
			{rule: "U1", name: "a port that is not opted in is delivered", pkts: seq(2, spec{udp: true, v6: ip.v6, dport: 53}), want: "0 1|", normal: UDPOff},
			{rule: "E4", name: "VXLAN is delivered", pkts: seq(2, spec{udp: true, v6: ip.v6, dport: 4789}), want: "0 1|", normal: TunnelUDP},
			{rule: "E5", name: "Geneve is delivered", pkts: seq(2, spec{udp: true, v6: ip.v6, dport: 6081}), want: "0 1|", normal: TunnelUDP},
			{rule: "U2", name: "a zero checksum completes P first", pkts: seq(3, ip, at(1, func(s *spec) { s.zeroSum = true })), want: "0 1|2", normal: UDPZero, flush: UDPZero},
			{rule: "U2", name: "a bad checksum completes P first", pkts: seq(3, ip, at(1, func(s *spec) { s.badSum = true })), want: "0 1|2", normal: UDPChecksum, flush: UDPChecksum},
			{rule: "U3", name: "a length of 8 is delivered", pkts: seq(1, ip, at(0, size(0))), want: "0|", normal: UDPLength},
			{rule: "U3", name: "a short UDP length completes P first", pkts: seq(3, ip, at(1, func(s *spec) { s.udpLen = -2 })), want: "0 1|2", normal: UDPLength, flush: UDPLength},
			{rule: "U3", name: "a long UDP length completes P first", pkts: seq(3, ip, at(1, func(s *spec) { s.udpLen = 2 })), want: "0 1|2", normal: UDPLength, flush: UDPLength},
			{rule: "U4", name: "another source port is another flow", pkts: seq(4, ip, func(i int, s *spec) { s.sport = uint16(1 + i%2); s.id = uint16(i / 2) }), want: "|0+2 1+3"},
			{rule: "U5", name: "a longer datagram completes P and is held", pkts: seq(4, ip, from(2, size(101))), want: "0+1|2+3", flush: UDPLonger},
			{rule: "U6", name: "equal lengths merge", pkts: seq(3, ip), want: "|0+1+2"},
			{rule: "U7", name: "a shorter datagram ends P", pkts: seq(4, ip, at(1, size(99))), want: "0+1|2+3", flush: UDPShorter},
			{rule: "U8", name: "64 datagrams end P", pkts: seq(66, ip), want: upTo(64) + "|64+65", flush: Count},
			{rule: "U10", name: "a first datagram is held", pkts: seq(1, ip), want: "|0"},
			{rule: "C3", name: "partial checksums merge with each other", pkts: seq(3, ip, from(0, func(s *spec) { s.partial = true })), want: "|0+1+2"},
			{rule: "C3", name: "partial and real checksums don't mix", pkts: seq(4, ip, from(2, func(s *spec) { s.partial = true })), want: "0+1|2+3", flush: ChecksumKind},
		}
		if !ip.v6 {
			cases = append(cases,
				ruleCase{rule: "V4", name: "Ethernet padding is not payload", pkts: seq(3, ip, at(1, func(s *spec) { s.pad = 6 })), want: "0 1|2", normal: IPv4Length},
				ruleCase{rule: "V5", name: "the reserved bit completes P", pkts: seq(3, ip, at(1, func(s *spec) { s.res = true })), want: "0 1|2", normal: IPv4Reserved},
				ruleCase{rule: "V7", name: "another TTL completes P", pkts: seq(4, ip, from(2, func(s *spec) { s.ttl = 3 })), want: "0+1|2+3", flush: IPv4TTL},
				ruleCase{rule: "V8", name: "another TOS completes P", pkts: seq(4, ip, from(2, func(s *spec) { s.tos = 3 })), want: "0+1|2+3", flush: IPv4TOS},
				ruleCase{rule: "V9", name: "another DF completes P", pkts: seq(4, ip, from(2, func(s *spec) { s.noDF = true })), want: "0+1|2+3", flush: IPv4DF},
				ruleCase{rule: "V10", name: "the ID rule holds", pkts: seq(3, ip, ids(1, 2, 9)), want: "0+1|2", flush: IPv4ID})
		} else {
			cases = append(cases,
				ruleCase{rule: "W4", name: "another class completes P", pkts: seq(4, ip, from(2, func(s *spec) { s.tos = 3 })), want: "0+1|2+3", flush: IPv6Class},
				ruleCase{rule: "W4", name: "another hop limit completes P", pkts: seq(4, ip, from(2, func(s *spec) { s.ttl = 3 })), want: "0+1|2+3", flush: IPv6Hop})
		}
		for i := range cases {
			cases[i].cfg.UDPPorts = []uint16{4433}
		}
		inAll(t, cases)
	}
}

func TestUDPListModeChainsDatagramsWithTheirHeaders(t *testing.T) {
	cfg := Config{UDPPorts: []uint16{4433}, List: ListUDP}
	in := built(seq(5, udp4, at(4, size(7))))
	res, _, gs := run(t, cfg, in) // 5b
	if g := gs[0]; res != "0+1+2+3+4|" || !g.list || g.csum != umem.CsumOK || !bytes.Equal(g.b, bytes.Join(in, nil)) {
		t.Errorf("5b: %s %+v", res, gs)
	}
	runCases(t, []ruleCase{{rule: "U8", name: "64 end a list", cfg: cfg, pkts: seq(66, udp4), want: upTo(64) + "|64+65", flush: Count}})
}

func TestPortsOfTunnelsCannotBeOptedIn(t *testing.T) {
	p := newRig(t, Config{}, smallPool).p
	for port := range tunnelPorts {
		if _, err := New(p, Config{UDPPorts: []uint16{port}}); err == nil {
			t.Errorf("U1: port %d accepted", port)
		}
	}
}

func TestAUDPChecksumOfZeroIsSentAsAllOnes(t *testing.T) {
	// C4: choose the last payload so that the merged checksum comes out as 0.
	found := false
	for v := 0; v < 1<<16 && !found; v += 1 {
		in := seq(2, udp4, at(1, func(s *spec) {
			s.payload = bytes.Repeat([]byte{1}, 100)
			s.payload[0], s.payload[1] = byte(v>>8), byte(v)
		}))
		a, b := in[0].build(), in[1].build()
		merged := append(bytes.Clone(a), b[42:]...)
		be.PutUint16(merged[38:], uint16(len(merged)-34))
		be.PutUint16(merged[40:], 0)
		be.PutUint16(merged[16:], uint16(len(merged)-14))
		if slowSum(uint32(pseudoOf(merged[14:], false, 17, len(merged)-34)), merged[34:]) != 0xffff {
			continue
		}
		found = true
		_, _, gs := run(t, quic, [][]byte{a, b})
		if len(gs) != 1 || gs[0].b[40] != 0xff || gs[0].b[41] != 0xff {
			t.Errorf("C4: checksum %x", gs[0].b[40:42])
		}
	}
	if !found {
		t.Fatal("no payload gives a zero checksum")
	}
}
