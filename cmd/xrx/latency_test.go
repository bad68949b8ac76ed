package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"xrx/internal/gen"
	"xrx/internal/testnet"
)

func TestRunTellsHowOldStampedPacketsAre(t *testing.T) {
	testnet.Require(t, "root", "veth")
	for _, c := range []struct {
		name      string
		tcp       bool
		unstamped bool
		args      []string
	}{
		{"one by one", false, false, []string{"--gro", "off"}},
		{"merged", true, false, []string{"--gro", "on"}},
		{"until a number has come", false, false, []string{"--gro", "off", "--count", "3000"}},
		{"without stamps", false, true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{})
			profile := filepath.Join(t.TempDir(), "cpu")
			args := append([]string{"--latency", "--json", "--interval", "50ms", "--cpuprofile", profile}, c.args...)
			done, out, cancel := runIn(t, n, args...)
			defer cancel()
			s, early := n.Sender(), traffic(n, 1, 1)
			out.await(t, "a packet received", func(text string) bool {
				s.Send(early...)
				return hasLine(text) && slices.ContainsFunc(parse(t, whole(text)), func(l line) bool { return l.Rx.Packets > 0 })
			})
			const count = 3000
			var sent gen.Result
			n.InA(func() {
				s := gen.Stream{TCP: c.tcp, SrcMAC: n.A.MAC, DstMAC: n.B.MAC, Src: n.A.IP4, Dst: n.B.IP4, Burst: 16, Flows: 2, Sizes: []int{300}, Stamp: !c.unstamped}
				e, err := gen.Open(gen.Packet, s, gen.Options{Iface: n.A.Iface, Count: count, Rate: 30_000})
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				if sent, err = e.Run(context.Background()); err != nil {
					t.Fatal(err)
				}
			})
			out.await(t, "all packets in reports", func(string) bool {
				var got uint64
				for _, r := range parse(t, whole(out.String())) {
					if r.Latency != nil && r.Type == "interval" {
						got += r.Latency.Packets + r.Latency.Unstamped
					}
				}
				return got >= count || len(c.args) > 2
			})
			cancel()
			r := <-done
			lines := parse(t, r.stdout)
			if r.code != 0 || len(lines) == 0 {
				t.Fatalf("code %d, %q", r.code, r.stderr)
			}
			sum := lines[len(lines)-1]
			l := sum.Latency
			if l == nil || sum.Ledger["lost"] != 0 || sum.Ledger["delivered"] != 0 {
				t.Fatalf("latency %+v, ledger %v", l, sum.Ledger)
			}
			if c.unstamped {
				if l.Packets != 0 || l.Unstamped < count {
					t.Errorf("%+v, want %d without stamp", l, count)
				}
				return
			}
			if l.Packets != count && len(c.args) == 2 || l.Packets == 0 || l.Packets+l.Unstamped != sum.Delivered.Segments {
				t.Errorf("%+v, want %d stamped of %d delivered", l, count, sum.Delivered.Segments)
			}
			if !(0 < l.Min && l.Min <= l.P50 && l.P50 <= l.P99 && l.P99 <= l.P999 && l.P999 <= l.P9999 && l.P9999 <= l.Max && l.Max < 60) {
				t.Errorf("percentiles out of order: %+v", l)
			}
			if sent.Late == nil || sent.Late.Max < sent.Late.P50 || sent.Late.P50 < 0 {
				t.Errorf("the sender's own lateness: %+v", sent.Late)
			}
			if i, err := os.Stat(profile); err != nil || i.Size() == 0 {
				t.Errorf("no profile: %v", err)
			}
		})
	}
}

// whole leaves out a line that is still being written.
func whole(s string) string {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '\n' {
			return s[:i+1]
		}
	}
	return ""
}
