package bpf_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"xrx/bpf"
	"xrx/internal/testnet"
	"xrx/match"
)

func parsed(t testing.TB, s string) *match.Expr {
	t.Helper()
	e, err := match.Parse(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return e
}

// repeated is a term n times, with a number in it that counts up.
func repeated(n int, between, format string) string {
	terms := make([]string, n)
	for i := range terms {
		terms[i] = strings.ReplaceAll(strings.ReplaceAll(format, "#", fmt.Sprint(i+1)), "@", fmt.Sprintf("%x", 0x1000+i))
	}
	return strings.Join(terms, between)
}

// The limits of the parser are such that nothing it accepts is refused later.
func TestTheVerifierAcceptsTheLargestExpressions(t *testing.T) {
	testnet.Require(t, "root")
	deep := func(term string) string {
		s := term
		for i := range match.MaxDepth - 2 {
			s = fmt.Sprintf("%s %s (%s)", term, []string{"and", "or"}[i%2], s)
		}
		return s
	}
	for name, s := range map[string]string{
		"ports of one protocol":     repeated(match.MaxTerms, " or ", "tcp port #"),
		"hosts, IPv6":               repeated(match.MaxTerms, " or ", "host 2001:db8::@:1"),
		"nets, IPv6, longest tests": repeated(match.MaxTerms, " or ", "src or dst net 2001:db8:@::@:8000/113"),
		"both ends, IPv6":           repeated(match.MaxTerms, " and ", "not src and dst net 2001:db8:@::@:8000/113"),
		"port ranges":               repeated(match.MaxTerms, " or ", "portrange #-60000"),
		"all kinds":                 repeated(match.MaxTerms/8, " or ", "vlan # or (ip proto 7 and vlan) or (src port # and host 10.1.2.3) or (icmp6 type 9 and not dst portrange #-7000) or net 2001:db8:@::/48"),
		"deep":                      deep("net 2001:db8::/33"),
		"alternating":               repeated(match.MaxTerms/2, " or ", "port # and not net 2001:db8:@::/97"),
	} {
		e := parsed(t, s)
		code, err := e.Compile()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p, err := bpf.Load(bpf.Options{Match: e})
		if err != nil {
			t.Errorf("%s: %d terms, %d bytes of code: %v", name, e.Terms(), code.Size(), err)
			continue
		}
		info, err := p.Prog().Info()
		must(t, err)
		insns, _ := info.VerifiedInstructions()
		t.Logf("%s: %d terms, %d bytes of code, %d instructions verified", name, e.Terms(), code.Size(), insns)
		must(t, p.Close())
	}
}

// A packet is decided by the expression before it is known whether a socket wants it.
func TestWhatIsNotMatchedIsCountedAndPassesUntouched(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	p := registered(t, bpf.Options{Match: parsed(t, "udp port 443 and not vlan")})
	got := counted(t, p, func() {
		for _, c := range []struct {
			packet  []byte
			verdict uint32
		}{
			{ipv4(), xdpRedirect},
			{ipv6(17), xdpRedirect},
			{ipv4(reversed), xdpRedirect},
			{ipv4(proto(6)), xdpPass},
			{ipv4(ports(1, 2)), xdpPass},
			{ipv4(fragment(0x2000)), xdpRedirect}, // the first has the ports
			{ipv4(fragment(0x0001)), xdpPass},
			{vlan(0x8100, 5, ipv4()), xdpPass},
			{ether(0x0806, make([]byte, 46)), xdpPass},
		} {
			verdict, meta := run(t, p.Prog(), c.packet)
			if verdict != c.verdict || (len(meta) > 0) != (c.verdict == xdpRedirect) {
				t.Errorf("verdict %d with %d bytes of metadata, want %d, of % x", verdict, len(meta), c.verdict, c.packet)
			}
		}
	})
	if want := (bpf.Counts{bpf.Redirected: 4, bpf.NotMatched: 5}); got != want {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// Every kind of term, asked of packets that are at the edge of what it says. The oracle has a table of
// its own, in package match.
func TestEachTermAgreesWithTheOracleOnPacketsMadeByHand(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	hops := func(n int, last byte) []byte {
		b := []byte{}
		for i := range n {
			next := byte(60)
			if i == n-1 {
				next = last
			}
			b = append(b, extHeader(next, 0)...)
		}
		return b
	}
	double := vlan(0x88a8, 0x2005, vlan(0x8100, 0xe007, ipv4()))
	short := ipv4()
	packets := [][]byte{
		ipv4(), ipv4(reversed), ipv4(proto(6)), ipv4(proto(132)), ipv4(proto(1)), ipv4(proto(58)), ipv4(proto(2)), ipv4(options(40)),
		ipv4(fragment(0x2000)), ipv4(fragment(1)), ipv4(proto(1), fragment(1)), ipv4(ports(0, 65535)), ipv4(ports(0x1234, 0x3412)),
		ipv6(17), ipv6(6), ipv6(58), ipv6(1), ipv6(59), ipv6(51), ipv6(17, reversed), ipv6ext(44, fragHeader(17, 0, true)), ipv6ext(44, fragHeader(17, 5, false)),
		ipv6ext(60, hops(1, 17)), ipv6ext(60, hops(7, 17)), ipv6ext(60, hops(8, 17)), ipv6ext(60, hops(9, 17)), ipv6ext(60, hops(8, 58)), ipv6ext(0, extHeader(17, 30)),
		vlan(0x8100, 5, ipv4()), vlan(0x8100, 7, ipv6(58)), double, vlan(0x8100, 9, double), vlan(0x9100, 5, ipv4()),
		ether(0x0806, make([]byte, 46)), ether(0x88cc, make([]byte, 46)), ether(0x0800, make([]byte, 46)), ether(0x86dd, make([]byte, 46)), ether(0x8100, nil), ether(5, nil),
		short[:14+19], short[:14+20], short[:14+20+3], short[:14+20+4], ipv6(17)[:14+39], ipv6(17)[:14+40+3], ipv6(58)[:14+44], double[:19], double[:22],
	}
	terms := strings.Split("ip;ip6;arp;lldp;ether type 5;ether type 0x8100;ether type 0x9100;vlan;vlan 5;vlan 7;vlan 9;vlan 0;"+
		"tcp;udp;sctp;icmp;icmp6;igmp;ah;proto 1;proto 58;proto 59;proto 60;proto 0;ip proto 17;ip6 proto 17;proto 17;"+
		"icmp type 156;icmp type 0-155;icmp type 0-255;icmp6 type 156-255;icmp6 type 0;"+
		"host 10.1.2.3;src host 10.1.2.3;dst host 10.1.2.3;dst net 192.168.77.0/24;net 192.168.76.0/23;src net 8.0.0.0/5;net 0.0.0.0/0;net 128.0.0.0/1;src and dst net 0.0.0.0/1;"+
		"src host 2001:db8:0:1::11;host 2001:db8:0:2::2222;net 2001:db8::/32;net 2001:db8:0:2::/63;net 2001:db8:0:2::/64;dst net 2001:db8:0:2:0:0:0:2200/120;src net 2001:db8:0:1::10/127;net ::/0;"+
		"src and dst net 2001:db8::/48;port 443;src port 443;dst port 443;tcp port 443;udp port 443;sctp dst port 443;ip port 443;ip6 port 443;port 0;port 65535;port 4660;port 13330;"+
		"portrange 0-443;portrange 444-40000;portrange 444-40001;portrange 0-65535;src portrange 40001-65535;src and dst portrange 443-40001;src and dst portrange 444-65535;"+
		"port (1 or 2 or 3 or 443 or 5);port (1 or 2 or 40001 or 4 or 5 or 6 or 7 or 8 or 9 or 10 or 11);dst host (1.1.1.1 or 2.2.2.2 or 192.168.77.201 or 200.1.1.1 or 255.255.255.255);"+
		"(src 10.1.2.3 and dst 1.1.1.1) or (dst 192.168.77.201 and port 443);(src port 1 and dst port 2) or (dst port 443 and src port 40001) or (dst port 40001 and not src port 1);"+
		"sctp or port 9;sctp and port 443;(tcp and src port 1) or (udp and src port 40001) or (udp and dst port 7 and vlan) or vlan 7;not (ip and tcp) and not (ip6 and udp) and not arp", ";")
	p := registered(t, bpf.Options{})
	for _, term := range terms {
		e := parsed(t, term)
		must(t, p.SetMatch(e))
		for _, packet := range packets {
			want := uint32(xdpPass)
			if e.Match(packet) {
				want = xdpRedirect
			}
			if verdict, _ := run(t, p.Prog(), packet); verdict != want {
				t.Errorf("%s: verdict %d, the oracle has %d, of % x", term, verdict, want, packet)
			}
		}
	}
}

func TestSetMatchGoesBackToEverythingAndKeepsTheSwitch(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	p := registered(t, bpf.Options{})
	ask := func(want uint32, why string) {
		t.Helper()
		if verdict, _ := run(t, p.Prog(), ipv4()); verdict != want {
			t.Errorf("%s: verdict %d, want %d", why, verdict, want)
		}
	}
	ask(xdpRedirect, "no expression")
	must(t, p.SetMatch(parsed(t, "tcp")))
	ask(xdpPass, "tcp")
	must(t, p.SetEnabled(false))
	must(t, p.SetMatch(nil))
	ask(xdpPass, "disabled before and after SetMatch")
	must(t, p.SetEnabled(true))
	ask(xdpRedirect, "everything again")
	c, err := p.Counters()
	must(t, err)
	if want := (bpf.Counts{bpf.Redirected: 2, bpf.NotMatched: 1, bpf.Disabled: 1}); c.Total != want {
		t.Errorf("counted %v over four programs, want %v", c.Total, want)
	}
	must(t, p.Close())
	if err := p.SetMatch(nil); err != bpf.ErrClosed {
		t.Errorf("SetMatch after Close: %v", err)
	}
}

func TestAReplacedProgramStaysOnItsInterfaceInEveryMode(t *testing.T) {
	testnet.Require(t, "root", "veth")
	for _, c := range []struct {
		name   string
		mode   bpf.Mode
		hwMeta bool
	}{{"native", bpf.Native, false}, {"generic", bpf.Generic, false}, {"device-bound", bpf.Native, true}} {
		t.Run(c.name, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{})
			n.InB(func() {
				opts := bpf.Options{HWMeta: c.hwMeta}
				if c.hwMeta {
					opts.IfIndex = n.B.Index
				}
				p, err := bpf.Load(opts)
				must(t, err)
				defer p.Close()
				a, err := p.Attach(n.B.Index, c.mode)
				must(t, err)
				before, _ := attached(t, n.B.Index)
				must(t, p.SetMatch(parsed(t, "udp")))
				after, mode := attached(t, n.B.Index)
				if after == before || mode != c.mode || a.HWMeta() != c.hwMeta {
					t.Errorf("program %d became %d, %v, hardware metadata %t", before, after, mode, a.HWMeta())
				}
				eventually(t, "the old program unloaded", func() bool {
					old, err := ebpf.NewProgramFromID(ebpf.ProgramID(before))
					if err == nil {
						old.Close()
					}
					return err != nil
				})
				must(t, p.Close())
				if id, _ := attached(t, n.B.Index); id != 0 {
					t.Errorf("program %d is left", id)
				}
			})
		})
	}
}

// An interface that has gone takes its link with it: there is nothing to replace, and the expression in force stays.
func TestAReplacementThatIsRefusedLeavesTheOldExpression(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n, other := testnet.New(t, testnet.Options{}), testnet.New(t, testnet.Options{})
	p := load(t, bpf.Options{Match: parsed(t, "tcp")})
	other.InB(func() {
		_, err := p.Attach(other.B.Index, bpf.Native)
		must(t, err)
	})
	n.InB(func() {
		_, err := p.Attach(n.B.Index, bpf.Native)
		must(t, err)
		before := p.Prog()
		must(t, n.B.Delete())
		if err := p.SetMatch(parsed(t, "udp")); err == nil || p.Prog() != before {
			t.Errorf("SetMatch without the interface: %v; replaced: %t", err, p.Prog() != before)
		}
	})
	other.InB(func() {
		info, err := p.Prog().Info()
		must(t, err)
		want, _ := info.ID()
		if id, _ := attached(t, other.B.Index); id != uint32(want) {
			t.Errorf("program %d on the interface that is left, want the old one, %d", id, want)
		}
	})
}
