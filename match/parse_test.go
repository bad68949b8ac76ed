package match_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"xrx/match"
)

func TestExpressionsAndTheirCanonicalForms(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{" \t\n", ""},
		{"ip", "ip"},
		{"ether type 0x800", "ip"},
		{"ether proto ip6", "ip6"},
		{"ether type 2054", "arp"},
		{"ether type 0x88CC", "lldp"},
		{"ether type 0x8809", "ether type 0x8809"},
		{"ether type (0x8809 or 0x888e or arp)", "ether type 0x8809 or ether type 0x888e or arp"},
		{"vlan", "vlan"},
		{"vlan 5", "vlan 5"},
		{"vlan 5 or 6", "vlan 5 or vlan 6"},
		{"vlan and ip", "vlan and ip"},
		{"TCP", "tcp"},
		{"proto 6", "tcp"},
		{"proto tcp", "tcp"},
		{"ip proto tcp", "ip proto 6"},
		{"ip6 proto 47", "ip6 proto 47"},
		{"ip proto icmp", "icmp"},
		{"proto icmp", "proto 1"},
		{"proto (47 or esp)", "gre or esp"},
		{"icmp type 8", "icmp type 8"},
		{"icmp6 type 133-137", "icmp6 type 133-137"},
		{"icmp6 type (1-4 or 143)", "icmp6 type 1-4 or icmp6 type 143"},
		{"10.0.0.1", "host 10.0.0.1"},
		{"host 10.0.0.1 or 10.0.0.2", "host 10.0.0.1 or host 10.0.0.2"},
		{"src 10.0.0.1", "src host 10.0.0.1"},
		{"src 10.0.0.0/8", "src net 10.0.0.0/8"},
		{"ip host 10.0.0.1", "host 10.0.0.1"},
		{"ip6 dst net 2001:DB8::/32", "dst net 2001:db8::/32"},
		{"net 10.0.0.1/32", "host 10.0.0.1"},
		{"net 0.0.0.0/0", "net 0.0.0.0/0"},
		{"host ::ffff:10.0.0.1", "host ::ffff:10.0.0.1"},
		{"host 2001:db8:0:0::1", "host 2001:db8::1"},
		{"src or dst host 10.0.0.1", "host 10.0.0.1"},
		{"dst and src net 10.0.0.0/8", "src and dst net 10.0.0.0/8"},
		{"src 10.0.0.1 or dst 10.0.0.2", "src host 10.0.0.1 or dst host 10.0.0.2"},
		{"port 80", "port 80"},
		{"port 0x50", "port 80"},
		{"tcp port 80 or 443", "tcp port 80 or tcp port 443"},
		{"tcp dst port (80 or 443)", "tcp dst port 80 or tcp dst port 443"},
		{"ip6 src port 53", "ip6 src port 53"},
		{"udp src or dst portrange 1-1023", "udp portrange 1-1023"},
		{"portrange 80", "port 80"},
		{"portrange 80-80", "port 80"},
		{"not tcp", "not tcp"},
		{"! ! tcp", "tcp"},
		{"!tcp&&!udp", "not tcp and not udp"},
		{"not (tcp or udp)", "not (tcp or udp)"},
		{"tcp or udp and ip", "(tcp or udp) and ip"}, // as in tcpdump
		{"tcp and udp or ip", "(tcp and udp) or ip"},
		{"tcp or (udp and ip)", "tcp or (udp and ip)"},
		{"(tcp or udp) or icmp", "tcp or udp or icmp"},
		{"((tcp))", "tcp"},
		{"port 80 or not 443", "port 80 or not port 443"},
		{"port 80 or (443 and tcp)", "port 80 or (port 443 and tcp)"},
	} {
		e, err := match.Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := e.String(); got != c.want {
			t.Errorf("%s: canonical %q, want %q", c.text, got, c.want)
		}
		if again, err := match.Parse(c.want); err != nil || again.String() != c.want {
			t.Errorf("%s: canonical form %q becomes %q (%v)", c.text, c.want, again, err)
		}
	}
}

func TestAWrongExpressionIsRefusedWithItsPlaceAndWhatWasExpected(t *testing.T) {
	many := strings.Repeat("tcp or ", match.MaxTerms)
	for _, c := range []struct {
		text string
		at   int
		want string // in the complaint
	}{
		{"foo", 1, "want a term"},
		{"tcp prot 80", 5, "want and, or, or the end"},
		{"tcp 80", 5, "want and, or, or the end"},
		{"tcp and", 8, "the end: want a term"},
		{"and tcp", 1, "want a term"},
		{"tcp and or udp", 9, "want a term"},
		{"tcp host 10.0.0.1", 5, "tcp is followed by port"},
		{"tcp src 10.0.0.1", 9, "want port or portrange"},
		{"tcp proto 6", 5, "tcp is a protocol already"},
		{"arp host 10.0.0.1", 5, "arp is a term by itself"},
		{"icmp port 5", 6, "icmp is a term by itself"},
		{"gre src 10.0.0.1", 5, "gre is a term by itself"},
		{"80", 1, "needs a keyword before it"},
		{"tcp and 80", 9, "needs a keyword before it"},
		{"port", 5, "the end: want a port from 0 to 65535"},
		{"port http", 6, `"http": want a port from 0 to 65535`},
		{"port 65536", 6, "want a port"},
		{"port -1", 6, "want a port"},
		{"port 80-90", 6, "want a port"},
		{"port 0x", 6, "want a port"},
		{"port 1_000", 6, "want a port"},
		{"portrange 90-80", 11, "want 80-90"},
		{"portrange 80-", 11, "want a range of ports"},
		{"port 80 or 10.0.0.1", 12, "want a port"},
		{"port (80", 9, "want or, or ) for the ( at 6"},
		{"port (80 and 443)", 10, "want or, or ) for the ( at 6"},
		{"port (tcp)", 7, "want a value for the keywords before the ( at 6"},
		{"port ()", 7, "want a value"},
		{"vlan 4096", 6, "from 0 to 4095"},
		{"proto 256", 7, "want an IP protocol"},
		{"proto nosuch", 7, "want an IP protocol"},
		{"ip6 proto icmp", 11, "icmp is no protocol of IPv6"},
		{"icmp type 256", 11, "want an ICMP type"},
		{"ether host 1", 7, "want type and an EtherType"},
		{"ether type 0x10000", 12, "want an EtherType"},
		{"host", 5, "want an address"},
		{"host example.org", 6, "names are not looked up"},
		{"host 10.0.0.256", 6, "want an address"},
		{"host 10.0.0.0/8", 6, "want an address"},
		{"host fe80::1%eth0", 6, "zones are not known"},
		{"src tcp", 5, "want host, net, port, portrange, or an address"},
		{"src", 4, "want host, net"},
		{"net 10.0.0.1", 5, "want a prefix"},
		{"net 10.0.0.0/33", 5, "want a prefix"},
		{"net 10.0.0.1/8", 5, "want 10.0.0.0/8"},
		{"net 2001:db8::1/64", 5, "want 2001:db8::/64"},
		{"ip host ::1", 9, "want an address of IPv4"},
		{"ip6 net 10.0.0.0/8", 9, "want an address of IPv6"},
		{"(tcp", 5, "want and, or, or ) for the ( at 1"},
		{"tcp)", 4, "want and, or, or the end"},
		{"()", 2, "want a term"},
		{"tcp & udp", 5, "want a word"},
		{"tcp; udp", 4, "want a word"},
		{"tcp[13] & 2", 4, `"[": want a word`},
		{"tcp é", 5, `"é": want a word`},
		{"not", 4, "the end: want a term"},
		{many + "udp", len(many) + 1, "more than 512 terms"},
		{"port (" + strings.Repeat("1 or ", match.MaxTerms) + "2)", 7 + 5*match.MaxTerms, "more than 512 terms"},
		{strings.Repeat("(", 100) + "tcp", match.MaxDepth + 1, "nested deeper than 64"},
		{strings.Repeat("!", 100) + "tcp", match.MaxDepth + 1, "nested deeper than 64"},
		{strings.Repeat(" ", match.MaxLength+1), match.MaxLength + 1, "at most 65536 bytes"},
	} {
		name := c.text[:min(len(c.text), 40)]
		e, err := match.Parse(c.text)
		var syntax *match.SyntaxError
		if !errors.As(err, &syntax) || e != nil {
			t.Errorf("%s: %v, %v: want a SyntaxError", name, e, err)
			continue
		}
		if syntax.At != c.at || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q: want position %d and %q", name, err, c.at, c.want)
		}
		if begin := fmt.Sprintf("at %d, ", c.at); !strings.HasPrefix(err.Error(), begin) {
			t.Errorf("%s: %q does not begin with %q", name, err, begin)
		}
	}
}

func TestTheLargestExpressionsAreParsed(t *testing.T) {
	e, err := match.Parse(strings.Repeat("tcp or ", match.MaxTerms-1) + "udp")
	if err != nil || e.Terms() != match.MaxTerms {
		t.Errorf("%d terms, %v", e.Terms(), err)
	}
	if _, err := match.Parse(strings.Repeat("(", match.MaxDepth-1) + "tcp" + strings.Repeat(")", match.MaxDepth-1)); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "tcp port 80 or 443", "not (ip6 and udp dst portrange 1-1023)", "src or dst net 2001:db8::/32 && !vlan 5",
		"ether type (0x8809 or lldp) || icmp6 type 133-137", "port (80", "host 10.0.0.1 or 10.0.0.2 and proto 47", "ip host ::1", "\xff(é",
	} {
		f.Add(s, []byte{})
	}
	f.Fuzz(func(t *testing.T, s string, packet []byte) {
		e, err := match.Parse(s)
		if err != nil {
			var syntax *match.SyntaxError
			if e != nil || !errors.As(err, &syntax) || syntax.At < 1 || syntax.At > len(s)+1 || syntax.Want == "" {
				t.Fatalf("%q: %v, %+v", s, e, syntax)
			}
			return
		}
		again, err := match.Parse(e.String())
		if err != nil || again.String() != e.String() || again.Terms() != e.Terms() {
			t.Fatalf("%q is %q in canonical form, and that is %q (%v)", s, e, again, err)
		}
		if e.Match(packet) != again.Match(packet) {
			t.Fatalf("%q and its canonical form %q disagree about % x", s, e, packet)
		}
		if code, err := e.Compile(); err != nil || len(code) < 2 {
			t.Fatalf("%q: %d instructions, %v", s, len(code), err)
		}
	})
}
