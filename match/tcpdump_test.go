package match_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"xrx/internal/capture"
	"xrx/internal/frames"
	"xrx/internal/testnet"
	"xrx/match"
)

// tcpdumpTest makes packets and expressions of the part of the language that means the same to tcpdump.
type tcpdumpTest struct{ r *rand.Rand }

func (m tcpdumpTest) pick(s ...string) string { return s[m.r.IntN(len(s))] }

func (m tcpdumpTest) packet() []byte {
	p := []uint8{frames.ProtoTCP, frames.ProtoUDP, 132, 1, 58, 2}[m.r.IntN(6)]
	vary := func(f *frames.Frame) {
		f.Proto = p
		f.SrcPort, f.DstPort = uint16(m.r.IntN(6)), uint16(m.r.IntN(6))
		if p != frames.ProtoTCP && p != frames.ProtoUDP {
			f.Payload = []byte{0, byte(f.SrcPort), 0, byte(f.DstPort), 0, 0, 0, 0, 0, 0, 0, 0}
		}
		if f.Src.Is6() {
			src, dst := f.Src.As16(), f.Dst.As16()
			src[15], dst[15] = byte(m.r.IntN(4)), byte(m.r.IntN(4))
			f.Src, f.Dst = netip.AddrFrom16(src), netip.AddrFrom16(dst)
			return
		}
		src, dst := f.Src.As4(), f.Dst.As4()
		src[3], dst[3] = byte(m.r.IntN(4)), byte(m.r.IntN(4))
		f.Src, f.Dst = netip.AddrFrom4(src), netip.AddrFrom4(dst)
		f.IPOptions = make([]byte, 4*m.r.IntN(5))
		f.Fragment = []uint16{0, 0, 0, 0x4000, 0x2000, 1}[m.r.IntN(6)]
	}
	switch m.r.IntN(6) {
	case 0, 1:
		return frame(over6, vary)
	case 2:
		return frame(func(f *frames.Frame) {
			*f = frames.Frame{EtherType: []uint16{0x88cc, 0x1234}[m.r.IntN(2)], Payload: make([]byte, 46)}
		})
	}
	return frame(vary)
}

func (m tcpdumpTest) term() string {
	dir := m.pick("", "src ", "dst ", "src or dst ", "src and dst ")
	n := m.r.IntN(6)
	return m.pick("ip", "ip6", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "ether proto 0x88cc", "ip proto 17", "ip6 proto 6",
		fmt.Sprintf("%shost 10.1.2.%d", dir, n), fmt.Sprintf("%snet 192.168.7.%d/31", dir, n&2), fmt.Sprintf("%shost 2001:db8::%x", dir, n),
		dir+"net 2001:db8:0:5::/64", fmt.Sprintf("%s%sport %d", m.pick("", "tcp ", "udp ", "sctp "), dir, n),
		fmt.Sprintf("%sportrange %d-%d", dir, n/2, 3+n/2), fmt.Sprintf("port 1 or %d", n), fmt.Sprintf("src port 3 or %d and 4", n),
		fmt.Sprintf("dst host 192.168.7.1 or 192.168.7.%d", n), fmt.Sprintf("udp port (1 or %d)", n))
}

func (m tcpdumpTest) expr(depth int) string {
	if depth == 0 || m.r.IntN(4) == 0 {
		return m.term()
	}
	switch m.r.IntN(4) {
	case 0:
		return m.pick("not ", "! ") + "(" + m.expr(depth-1) + ")"
	case 1:
		return m.expr(depth-1) + " and " + m.expr(depth-1) + " or " + m.expr(depth-1)
	}
	return "(" + m.expr(depth-1) + ") " + m.pick("and", "or", "&&", "||") + " " + m.expr(depth-1)
}

// tcpdump returns the times of the packets of a file that an expression chooses, in seconds.
func tcpdump(t *testing.T, file []byte, expr string) map[int]bool {
	t.Helper()
	cmd := exec.Command("tcpdump", "-tt", "-n", "-r", "-", expr)
	cmd.Stdin = bytes.NewReader(file)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	switch {
	case err != nil && expr == "":
		t.Skipf("this tcpdump can't read a file: %v, %s", err, complaint.String())
	case err != nil && !strings.Contains(complaint.String(), "rejects all packets"):
		t.Fatalf("tcpdump %s: %v, %s", expr, err, complaint.String())
	}
	chosen := map[int]bool{}
	for line := range strings.Lines(string(out)) {
		second, _, _ := strings.Cut(line, ".000000 ")
		if n, err := strconv.Atoi(second); err == nil {
			chosen[n] = true
		}
	}
	return chosen
}

// The language is meant to be tcpdump's: so tcpdump is asked what it makes of the same text and the same packets.
func TestExpressionsMeanWhatTheyMeanToTcpdump(t *testing.T) {
	testnet.Require(t, "cmd:tcpdump")
	exprs := 150
	if testing.Short() {
		exprs = 30
	}
	seed := testnet.Seed(t)
	m := tcpdumpTest{rand.New(rand.NewPCG(seed, 3))}
	packets := make([][]byte, 300)
	var file bytes.Buffer
	w, err := capture.NewWriter(&file, capture.Info{Iface: "wire0"})
	for i := range packets {
		packets[i] = m.packet()
		err = errors.Join(err, w.Write(time.Unix(int64(1000+i), 0), packets[i], len(packets[i]), 0, capture.Merged{}))
	}
	if err := errors.Join(err, w.Flush()); err != nil {
		t.Fatal(err)
	}
	if n := len(tcpdump(t, file.Bytes(), "")); n != len(packets) {
		t.Skipf("this tcpdump shows %d of %d packets of a file", n, len(packets))
	}
	holds := 0
	for range exprs {
		s := m.expr(m.r.IntN(4))
		e, err := match.Parse(s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		chosen := tcpdump(t, file.Bytes(), s)
		for i, p := range packets {
			got, want := e.Match(p), chosen[1000+i]
			if got {
				holds++
			}
			if got != want {
				t.Fatalf("seed %d: %s (%s): %t, tcpdump has %t, of % x", seed, s, e, got, want, p)
			}
		}
	}
	t.Logf("%d pairs, %d hold", exprs*len(packets), holds)
	if holds < exprs*len(packets)/100 {
		t.Errorf("seed %d: only %d of %d pairs hold", seed, holds, exprs*len(packets))
	}
}
