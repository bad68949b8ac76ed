package bpf_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"xrx/bpf"
	"xrx/internal/testnet"
	"xrx/match"
)

// exprMaker writes random expressions. The values are those of packets, more or less, so that they hold often.
type exprMaker struct {
	r       *rand.Rand
	packets [][]byte
	focus   []byte // the packet that most values are of
}

func (m *exprMaker) pick(s ...string) string { return s[m.r.IntN(len(s))] }

// outcome is what the other oracle, the one of the metadata, says of some packet, and the packet itself.
func (m *exprMaker) outcome() (outcome, []byte) {
	p := m.focus
	if m.r.IntN(4) == 0 {
		p = m.packets[m.r.IntN(len(m.packets))]
	}
	return expect(p, false, 0), p
}

func (m *exprMaker) address() (s string, bits int) {
	for range 50 {
		o, p := m.outcome()
		ip := p[o.meta.L3Off:]
		switch {
		case o.meta.L3 == 4:
			b := ip[12+4*m.r.IntN(2):]
			return fmt.Sprintf("%d.%d.%d.%d", b[0], b[1], b[2], b[3]), 32
		case o.meta.L3 == 6:
			b := ip[8+16*m.r.IntN(2):]
			for i := 0; i < 16; i += 2 {
				s += fmt.Sprintf(":%x", int(b[i])<<8|int(b[i+1]))
			}
			return s[1:], 128
		}
	}
	return "10.1.2.3", 32
}

// prefix needs its bits masked: the parser says how.
func (m *exprMaker) prefix() string {
	a, bits := m.address()
	p := fmt.Sprintf("%s/%d", a, m.r.IntN(bits+1))
	if _, err := match.Parse("net " + p); err != nil {
		_, want, ok := strings.Cut(err.Error(), "want ")
		if !ok {
			return "10.0.0.0/8"
		}
		return want
	}
	return p
}

func (m *exprMaker) port() int {
	for range 50 {
		if o, p := m.outcome(); o.meta.L4Off != 0 {
			b := p[int(o.meta.L4Off)+2*m.r.IntN(2):]
			return int(b[0])<<8 | int(b[1])
		}
	}
	return 443
}

func (m *exprMaker) value(qualifier string) string {
	switch qualifier {
	case "port":
		return fmt.Sprint(m.port())
	case "portrange":
		a, b := m.port(), m.port()
		return fmt.Sprintf("%d-%d", min(a, b), max(a, b))
	case "host":
		a, _ := m.address()
		return a
	}
	return m.prefix()
}

func (m *exprMaker) term() string {
	dir := m.pick("", "", "src ", "dst ", "src or dst ", "src and dst ")
	switch m.r.IntN(10) {
	case 0:
		_, p := m.outcome()
		return m.pick("arp", "ip", "ip6", "lldp", fmt.Sprintf("ether type 0x%02x%02x", p[12], p[13]))
	case 1:
		o, p := m.outcome()
		second := 7
		if len(p) >= 20 {
			second = int(p[18]&15)<<8 | int(p[19])
		}
		return m.pick("vlan", fmt.Sprintf("vlan %d", o.meta.VLANTCI&0xfff), fmt.Sprintf("vlan %d", second))
	case 2:
		o, _ := m.outcome()
		return m.pick("tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "esp", fmt.Sprintf("%sproto %d", m.pick("", "ip ", "ip6 "), o.meta.L4Proto))
	case 3:
		a, b := m.port()>>8, m.r.IntN(256)
		return m.pick("icmp", "icmp6") + fmt.Sprintf(" type %d-%d", min(a, b), max(a, b))
	case 4, 5, 6:
		q := m.pick("host", "net", "net")
		return dir + q + " " + m.list(q)
	default:
		q := m.pick("port", "port", "portrange")
		return m.pick("", "", "tcp ", "udp ", "sctp ", "ip ", "ip6 ") + dir + q + " " + m.list(q)
	}
}

// list is a value, or several in parentheses: sets, if they are many.
func (m *exprMaker) list(qualifier string) string {
	if m.r.IntN(4) > 0 {
		return m.value(qualifier)
	}
	var values []string
	for range 1 + m.r.IntN(12) {
		values = append(values, m.value(qualifier))
	}
	return "(" + strings.Join(values, " or ") + ")"
}

func (m *exprMaker) expr(depth int) string {
	if depth == 0 || m.r.IntN(4) == 0 {
		return m.term()
	}
	switch m.r.IntN(5) {
	case 0:
		return m.pick("not ", "!") + "(" + m.expr(depth-1) + ")"
	case 1, 2:
		return "(" + m.expr(depth-1) + ")" + m.pick(" and ", "&&") + "(" + m.expr(depth-1) + ")"
	case 3:
		return m.expr(depth-1) + m.pick(" or ", "||", " and ") + m.expr(depth-1)
	}
	return "(" + m.expr(depth-1) + ") or (" + m.expr(depth-1) + ")"
}

func randomExprs(t testing.TB, r *rand.Rand, packets [][]byte, n int) (list []*match.Expr) {
	m := &exprMaker{r: r, packets: packets}
	for len(list) < n {
		m.focus = packets[r.IntN(len(packets))]
		text := m.expr(r.IntN(5))
		e, err := match.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := match.Parse(e.String())
		if err != nil || again.String() != e.String() {
			t.Fatalf("%s\nis in canonical form %s\nwhich parses to %v (%v)", text, e, again, err)
		}
		list = append(list, e)
	}
	return list
}

// TestCompiledExpressionsAgreeWithTheOracleOnRandomPackets replaces the expression of one program again and again. With
// XRX_LONG=1 it asks some hundred thousand pairs.
func TestCompiledExpressionsAgreeWithTheOracleOnRandomPackets(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	exprs, packets := 150, 60
	switch {
	case os.Getenv("XRX_LONG") != "":
		exprs, packets = 3000, 200
	case testing.Short():
		exprs, packets = 40, 50
	}
	seed := testnet.Seed(t)
	r := rand.New(rand.NewPCG(seed, 2))
	list := make([][]byte, packets)
	for i := range list {
		list[i] = randomPacket(r)
	}
	p := registered(t, bpf.Options{})
	var taken, passed, mixed uint64
	got := counted(t, p, func() {
		for _, e := range randomExprs(t, r, list, exprs) {
			must(t, p.SetMatch(e))
			before := taken
			for _, packet := range list {
				want := uint32(xdpPass)
				if e.Match(packet) {
					want = xdpRedirect
					taken++
				} else {
					passed++
				}
				if verdict, _ := run(t, p.Prog(), packet); verdict != want {
					t.Fatalf("seed %d: verdict %d, the oracle has %d, for\n%s\n% x", seed, verdict, want, e, packet)
				}
			}
			if taken > before && taken < before+uint64(packets) {
				mixed++
			}
		}
	})
	if got[bpf.Redirected] != taken || got[bpf.NotMatched] != passed || got.Packets() != taken+passed {
		t.Errorf("seed %d: counted %v, want %d taken and %d passed", seed, got, taken, passed)
	}
	t.Logf("%d pairs: %d taken, %d passed; %d of %d expressions made a difference between packets", taken+passed, taken, passed, mixed, exprs)
	if mixed < uint64(exprs)/10 {
		t.Errorf("seed %d: %d of %d expressions made a difference between packets", seed, mixed, exprs)
	}
}
