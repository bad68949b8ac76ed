package xrx_test

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/bpf"
	"xrx/internal/afpacket"
	"xrx/internal/testnet"
	"xrx/match"
)

func TestWhatDoesNotMatchGoesToTheKernelAndIsCounted(t *testing.T) {
	testnet.Require(t, "root", "veth")
	for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			n := testnet.New(t, testnet.Options{})
			r := open(t, n, &xrx.Config{Attach: mode, Match: "ip and udp", KeepManagement: true})
			if m := r.Match(); !strings.HasPrefix(m, "ip and udp and not (arp or ") {
				t.Errorf("in force: %s", m)
			}
			chosen, err := match.Parse(r.Match())
			if err != nil {
				t.Fatal(err)
			}
			const frames = 2000
			m, want := newFrameMaker(n, 16), uint64(0)
			for i := range uint64(frames) {
				if b, _ := m.frame(nil, i); chosen.Match(b) {
					want++
				}
			}
			var got, wrong atomic.Uint64
			x := run(t, r, xrx.Handler(func(p xrx.Packet) {
				got.Add(1)
				if !chosen.Match(p.Data()) {
					wrong.Add(1)
				}
			}))
			passed := func() uint64 { return r.Snapshot().XDP[bpf.NotMatched.String()] }
			m.send(t, sender(t, n), 0, frames, func() uint64 { return got.Load() + passed() })
			eventually(t, 5*time.Second, "all frames are decided", func() bool { return got.Load()+passed() >= frames })
			if err := x.end(); err != nil {
				t.Fatal(err)
			}
			if got.Load() != want || passed() != frames-want || wrong.Load() != 0 {
				t.Errorf("%d received, %d of them wrongly, %d passed: want %d and %d", got.Load(), wrong.Load(), passed(), want, frames-want)
			}
		})
	}
}

// While frames come, the expression changes all the time. Every frame is on one side, exactly once.
func TestReplacingTheExpressionUnderLoadLosesNothingOfEitherSide(t *testing.T) {
	testnet.Require(t, "root", "veth")
	for _, c := range []struct {
		name string
		cfg  xrx.Config
	}{
		{"native", xrx.Config{Attach: bpf.Native}},
		{"generic", xrx.Config{Attach: bpf.Generic}},
		{"device-bound", xrx.Config{Attach: bpf.Native, HWMeta: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := testnet.New(t, testnet.Options{})
			r := open(t, n, &c.cfg)
			var got atomic.Uint64
			x := run(t, r, xrx.Handler(func(xrx.Packet) { got.Add(1) }))

			var replaced atomic.Uint64
			stop := make(chan struct{})
			var replacing sync.WaitGroup
			replacing.Go(func() {
				n.InB(func() { // a device-bound program is loaded where its device is
					for {
						for _, e := range []string{"udp", "not udp", "", "tcp src portrange 1024-1030 or vlan", "ip6 and not port 1025"} {
							select {
							case <-stop:
								return
							default:
							}
							if err := r.SetMatch(e); err != nil {
								t.Errorf("%q: %v", e, err)
								return
							}
							replaced.Add(1)
						}
					}
				})
			})
			s, m := sender(t, n), newFrameMaker(n, 16)
			sent := sendUntil(t, s, m, r, &got, func() bool { return replaced.Load() >= 20 && r.Snapshot().XDP[bpf.NotMatched.String()] > 0 })
			close(stop)
			replacing.Wait()
			xdp := func() map[string]uint64 { return r.Snapshot().XDP }
			eventually(t, 5*time.Second, "all frames are decided", func() bool { return got.Load()+xdp()[bpf.NotMatched.String()] >= sent })
			if err := x.end(); err != nil {
				t.Fatal(err)
			}
			counts := xdp()
			if counts["redirected"] != got.Load() || counts["not_matched"]+got.Load() != sent || counts["no_socket"]+counts["disabled"] != 0 {
				t.Errorf("%d sent, %d received, %v counted", sent, got.Load(), counts)
			}
			if got.Load() == 0 || counts["not_matched"] == 0 {
				t.Errorf("%d received, %d passed: one side saw nothing", got.Load(), counts["not_matched"])
			}
			t.Logf("%d frames, %d received, %d passed, over %d expressions", sent, got.Load(), counts["not_matched"], replaced.Load())
		})
	}
}

// sendUntil sends frames, never more than a ring holds ahead of what was received or passed, until enough is true.
func sendUntil(t *testing.T, s *afpacket.Sender, m *frameMaker, r *xrx.Receiver, got *atomic.Uint64, enough func() bool) (sent uint64) {
	t.Helper()
	const batch = 64
	list := make([][]byte, batch)
	for decided := uint64(0); !enough() && !t.Failed(); {
		for range 50 {
			for deadline := time.Now().Add(5 * time.Second); sent+batch > decided+maxWindow; runtime.Gosched() {
				decided = got.Load() + r.Snapshot().XDP[bpf.NotMatched.String()]
				if time.Now().After(deadline) {
					t.Fatalf("%d sent, %d received, %v", sent, got.Load(), r.Snapshot().XDP)
				}
			}
			for i := range list {
				list[i], _ = m.frame(list[i][:0], sent)
				sent++
			}
			if _, err := s.Send(list); err != nil {
				t.Fatal(err)
			}
		}
	}
	return sent
}

func TestAWrongExpressionChangesNothing(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	var syntax *match.SyntaxError
	n.InB(func() {
		if _, err := xrx.Open(n.B.Iface, &xrx.Config{Match: "tcp port"}); !errors.As(err, &syntax) || syntax.At != 9 {
			t.Errorf("Open: %v, want a SyntaxError at 9", err)
		}
	})
	r := open(t, n, &xrx.Config{Match: "tcp port 80"})
	if err := r.SetMatch("tcp prot 81"); !errors.As(err, &syntax) || syntax.At != 5 {
		t.Errorf("SetMatch: %v, want a SyntaxError at 5", err)
	}
	if m := r.Match(); m != "tcp port 80" {
		t.Errorf("in force: %q", m)
	}
	if err := r.SetMatch(" "); err != nil || r.Match() != "" {
		t.Errorf("back to everything: %v, %q", err, r.Match())
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.SetMatch("tcp"); err == nil {
		t.Error("SetMatch on a closed receiver worked")
	}
}

func TestTheLifelineIsTakenOnlyWhereManagementIsKept(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	if err := n.B.DefaultRoute(n.A.IP4); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		cfg     xrx.Config
		refused bool
	}{
		{"everything", xrx.Config{}, true},
		{"an expression alone", xrx.Config{Match: "udp port 9"}, true},
		{"everything but management", xrx.Config{KeepManagement: true}, true},
		{"blanks for an expression", xrx.Config{Match: " ", KeepManagement: true}, true},
		{"an expression without management", xrx.Config{Match: "udp port 9", KeepManagement: true}, false},
		{"everything, meant so", xrx.Config{TakeAll: true}, false},
	} {
		n.InB(func() {
			r, err := xrx.Open(n.B.Iface, &c.cfg)
			if errors.Is(err, xrx.ErrLifeline) != c.refused || (err == nil) == c.refused {
				t.Errorf("%s: %v; refused should be %t", c.name, err, c.refused)
			}
			if err != nil {
				return
			}
			defer r.Close()
			if err := r.SetMatch(""); errors.Is(err, xrx.ErrLifeline) == c.cfg.TakeAll {
				t.Errorf("%s: SetMatch of everything: %v", c.name, err)
			}
			if err := r.SetMatch("tcp or udp"); err != nil {
				t.Errorf("%s: SetMatch: %v", c.name, err)
			}
		})
	}
}

func TestKeepManagementKnowsThePortOfTheSSHSession(t *testing.T) {
	t.Setenv("SSH_CONNECTION", "192.0.2.1 51000 192.0.2.2 2022")
	e, err := (&xrx.Config{KeepManagement: true}).Expression()
	if err != nil || !strings.Contains(e.String(), "tcp port 22 or tcp port 2022") {
		t.Errorf("%v, %v", e, err)
	}
	for _, plain := range []string{"192.0.2.1 51000 192.0.2.2 22", "nonsense", ""} {
		t.Setenv("SSH_CONNECTION", plain)
		if e, err := (&xrx.Config{Match: "tcp", KeepManagement: true}).Expression(); err != nil || !strings.HasSuffix(e.String(), " or tcp port 22)") {
			t.Errorf("%q: %v, %v", plain, e, err)
		}
	}
}
