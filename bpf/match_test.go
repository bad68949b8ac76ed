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
