package gro

import (
	"bytes"
	"testing"
)

func flag(f uint8) func(*spec) { return func(s *spec) { s.flags = f | fACK } }

func size(n int) func(*spec) {
	return func(s *spec) { s.payload = bytes.Repeat([]byte{'z'}, n) }
}

func TestTCPRules(t *testing.T) {
	ts := func(v byte) func(*spec) {
		return func(s *spec) { s.opt = []byte{1, 1, 8, 10, 0, 0, 0, v, 0, 0, 0, 1} }
	}
	sack := func(v byte) func(*spec) {
		return func(s *spec) {
			s.opt = append([]byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 5, 18}, bytes.Repeat([]byte{7}, 15)...)
			s.opt = append(s.opt, v)
		}
	}
	for _, ip := range []spec{v4, v6} {
		inAll(t, []ruleCase{
			{rule: "T0", name: "a bad checksum completes P first", pkts: seq(3, ip, at(1, func(s *spec) { s.badSum = true })), want: "0 1|2", normal: TCPChecksum, flush: TCPChecksum},
			{rule: "T1", name: "a data offset below 5 is delivered", pkts: seq(3, ip, at(1, func(s *spec) { s.doff = 4 })), want: "0 1|2", normal: TCPHeader},
			{rule: "T1", name: "a header beyond the packet is delivered", pkts: seq(3, ip, at(1, func(s *spec) { s.doff = 15; s.payload = nil })), want: "0 1|2", normal: TCPHeader},
			{rule: "T3", name: "another window completes P", pkts: seq(4, ip, from(2, func(s *spec) { s.win = 500 })), want: "0+1|2+3", flush: TCPWindow},
			{rule: "T3", name: "ECE must be equal", pkts: seq(4, ip, from(2, flag(fECE))), want: "0+1|2+3", flush: TCPFlagChange},
			{rule: "T3", name: "runs with ECE merge", pkts: seq(3, ip, from(0, flag(fECE))), want: "|0+1+2"},
			{rule: "T3", name: "the AE bit must be equal", pkts: seq(3, ip, from(2, func(s *spec) { s.ae = true })), want: "0+1|2", flush: TCPFlagChange},
			{rule: "T3", name: "a missing ACK completes P", pkts: seq(3, ip, at(2, func(s *spec) { s.flags = fECE })), want: "0+1|2", flush: TCPFlagChange},
			{rule: "T4", name: "CWR after a plain packet completes P", pkts: seq(2, ip, at(1, flag(fCWR))), want: "0|1", flush: TCPCWR},
			{rule: "T5", name: "another acknowledgement completes P", pkts: seq(4, ip, from(2, func(s *spec) { s.ack = 5 })), want: "0+1|2+3", flush: TCPAck},
			{rule: "T6", name: "equal options merge", pkts: seq(3, ip, from(0, ts(1))), want: "|0+1+2"},
			{rule: "T6", name: "another timestamp completes P", pkts: seq(4, ip, from(0, ts(1)), from(2, ts(2))), want: "0+1|2+3", flush: TCPOptions},
			{rule: "T6", name: "long equal options merge", pkts: seq(3, ip, from(0, sack(1))), want: "|0+1+2"},
			{rule: "T6", name: "a difference in the last option byte completes P", pkts: seq(4, ip, from(0, sack(1)), from(2, sack(2))), want: "0+1|2+3", flush: TCPOptions},
			{rule: "T3", name: "options of another length complete P", pkts: seq(2, ip, at(1, ts(1))), want: "0|1", flush: TCPFlagChange},
			{rule: "T8", name: "a pure ACK completes P and is delivered", pkts: seq(3, ip, at(1, size(0))), want: "0 1|2", normal: TCPEmpty, flush: TCPEmpty},
			{rule: "T8", name: "a longer packet completes P and is held", pkts: seq(3, ip, from(1, size(101))), want: "0|1+2", flush: TCPLonger},
			{rule: "T9", name: "a gap completes P", pkts: seq(3, ip, at(1, func(s *spec) { s.seq++ })), want: "0 1|2", flush: TCPSeq},
			{rule: "T9", name: "a retransmission completes P", pkts: seq(3, ip, at(2, func(s *spec) { s.seq -= 100 })), want: "0+1|2", flush: TCPSeq},
			{rule: "T9", name: "sequence numbers wrap", pkts: seq(4, spec{v6: ip.v6, seq: 0xffffff9c}), want: "|0+1+2+3"},
			{rule: "T10", name: "a packet with PSH that does not continue P is delivered behind it", pkts: seq(3, ip, at(1, func(s *spec) { s.seq++; s.flags = fACK | fPSH })), want: "0 1|2", normal: TCPPush, flush: TCPSeq},
			{rule: "T12", name: "PSH ends P", pkts: seq(4, ip, at(1, flag(fPSH))), want: "0+1|2+3", flush: TCPPush},
			{rule: "T12", name: "FIN with data ends P", pkts: seq(3, ip, at(2, flag(fFIN))), want: "0+1+2|", flush: TCPPush},
			{rule: "T12", name: "a first packet with PSH is delivered at once", pkts: seq(3, ip, at(0, flag(fPSH))), want: "0|1+2", normal: TCPPush},
			{rule: "T12", name: "a shorter packet ends P", pkts: seq(4, ip, at(1, size(99))), want: "0+1|2+3", flush: TCPShort},
			{rule: "T12", name: "SYN with data is never held", pkts: seq(3, ip, at(1, flag(fSYN))), want: "0 1|2", normal: TCPFlags, flush: TCPFlags},
			{rule: "T12", name: "RST with data is never held", pkts: seq(3, ip, at(1, flag(fRST))), want: "0 1|2", normal: TCPFlags, flush: TCPFlags},
			{rule: "T12", name: "URG with data is never held", pkts: seq(3, ip, at(1, flag(fURG))), want: "0 1|2", normal: TCPFlags, flush: TCPFlags},
			{rule: "T12", name: "FIN without data completes P and follows it", pkts: seq(3, ip, at(2, func(s *spec) { s.flags = fFIN | fACK; s.payload = nil })), want: "0+1 2|", normal: TCPEmpty, flush: TCPEmpty},
			{rule: "T7", name: "the urgent pointer without URG is ignored", pkts: seq(3, ip, at(1, func(s *spec) { s.urg = 5 })), want: "|0+1+2"},
			{rule: "C1", name: "a bad checksum of the first packet starts nothing", pkts: seq(2, ip, at(0, func(s *spec) { s.badSum = true })), want: "0|1", normal: TCPChecksum},
			{rule: "C3", name: "partial checksums merge with each other", pkts: seq(3, ip, from(0, func(s *spec) { s.partial = true })), want: "|0+1+2"},
			{rule: "C3", name: "partial and real checksums don't mix", pkts: seq(4, ip, from(2, func(s *spec) { s.partial = true })), want: "0+1|2+3", flush: ChecksumKind},
			{rule: "C3", name: "partial checksums are delivered where the setting says so", cfg: Config{KeepPartial: true}, pkts: seq(3, ip, at(1, func(s *spec) { s.partial = true })), want: "0 1|2", normal: TCPPartial, flush: TCPPartial},
			{rule: "T14", name: "a frame beyond the MTU is never merged", cfg: Config{MTU: 170}, pkts: seq(3, ip, at(1, size(200))), want: "0 1|2", normal: SuperFrame, flush: SuperFrame},
		})
		cwr := []spec{}
		cwr = append(cwr, seq(5, ip, from(0, flag(fCWR)), from(2, func(s *spec) { s.flags = fACK }))...)
		run3 := seq(3, ip, from(0, flag(fCWR)))
		runCases(t, []ruleCase{
			{rule: "T4", name: "6.9: P with CWR takes plain packets, CWR never merges", pkts: cwr, want: "0|1+2+3+4", flush: TCPCWR},
			{rule: "T4", name: "6.18: CWR never merges and must be equal", cfg: p618, pkts: cwr, want: "0 1|2+3+4", flush: TCPCWR},
			{rule: "T4", name: "7: CWR must only be equal", cfg: p7, pkts: cwr, want: "0+1|2+3+4", flush: TCPCWR},
			{rule: "T4", name: "6.9: a run of CWR does not merge", pkts: run3, want: "0 1|2", flush: TCPCWR},
			{rule: "T4", name: "6.18: a run of CWR does not merge", cfg: p618, pkts: run3, want: "0 1|2", flush: TCPCWR},
			{rule: "T4", name: "7: a run of CWR merges", cfg: p7, pkts: run3, want: "|0+1+2"},
		})
	}
}

func TestTCPListMode(t *testing.T) {
	list := Config{Profile: Linux618, List: ListTCP}
	if _, err := New(newRig(t, Config{}, smallPool).p, Config{List: ListTCP}); err == nil {
		t.Error("T15: TCP list mode accepted under 6.9")
	}
	runCases(t, []ruleCase{
		{rule: "T15", name: "packets are chained", cfg: list, pkts: seq(3, v4), want: "|0+1+2"},
		{rule: "T15", name: "flags must be completely equal, PSH too", cfg: list, pkts: seq(3, v4, at(2, flag(fPSH))), want: "0+1 2|", flush: TCPFlagChange},
		{rule: "T15", name: "at most 64", cfg: list, pkts: seq(70, v4), want: "0+1+2+3+4+5+6+7+8+9+10+11+12+13+14+15+16+17+18+19+20+21+22+23+24+25+26+27+28+29+30+31+32+33+34+35+36+37+38+39+40+41+42+43+44+45+46+47+48+49+50+51+52+53+54+55+56+57+58+59+60+61+62+63|64+65+66+67+68+69", flush: Count},
	})
	_, _, gs := run(t, list, built(seq(3, v4)))
	if g := gs[0]; !g.list || g.segs != 3 || g.gso != 100 || !bytes.Equal(g.b, bytes.Join(built(seq(3, v4)), nil)) {
		t.Errorf("T15: a list is not its packets one after the other: %+v", g)
	}
}

func built(ss []spec) (out [][]byte) {
	for _, s := range ss {
		out = append(out, s.build())
	}
	return out
}

func TestHeadersOfACompletedTCPPacket(t *testing.T) {
	for _, ip := range []spec{v4, v6} {
		in := built(seq(3, ip, at(2, flag(fPSH|fFIN)), ids(7, 8, 9)))
		_, _, gs := run(t, Config{}, in)
		if len(gs) != 1 {
			t.Fatal(counts(gs))
		}
		want := bytes.Clone(in[0])
		l3len := 20
		if ip.v6 {
			l3len = 40
		}
		l4 := 14 + l3len
		want = append(want, in[1][l4+20:]...)
		want = append(want, in[2][l4+20:]...)
		if ip.v6 { // K3
			be.PutUint16(want[18:], uint16(len(want)-54))
		} else { // K2
			be.PutUint16(want[16:], uint16(len(want)-14))
			be.PutUint16(want[24:], 0)
			be.PutUint16(want[24:], ^slowSum(0, want[14:34]))
		}
		want[l4+13] |= fPSH | fFIN // K4, T11
		be.PutUint16(want[l4+16:], 0)
		pseudo := pseudoOf(want[14:], ip.v6, 6, len(want)-l4)
		be.PutUint16(want[l4+16:], ^slowSum(uint32(pseudo), want[l4:])) // K6, C2
		if !bytes.Equal(gs[0].b, want) {
			t.Errorf("v6 %v:\ngot  %x\nwant %x", ip.v6, gs[0].b[:l4+20], want[:l4+20])
		}
	}
}

func TestAPacketAloneIsDeliveredByteIdentical(t *testing.T) {
	for _, s := range []spec{v4, v6, udp4, udp6} { // K1
		in := built(seq(1, s))
		_, _, gs := run(t, quic, in)
		if len(gs) != 1 || gs[0].segs != 1 || gs[0].gso != 0 || !bytes.Equal(gs[0].b, in[0]) {
			t.Errorf("K1: %+v", gs)
		}
	}
}
