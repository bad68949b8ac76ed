package xrx_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/gro"
	"xrx/internal/frames"
	"xrx/internal/testnet"
	"xrx/match"
)

func TestHandlersOverVethGetExactlyTheirPackets(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 2})
	r := open(t, n, &xrx.Config{GRO: &gro.Config{}})
	var m xrx.Mux
	var got [4]atomic.Uint64
	var wrong atomic.Value
	handler := func(i int, expr string) xrx.Handler {
		e, err := match.Parse(expr)
		if err != nil {
			t.Fatal(err)
		}
		return func(p xrx.Packet) {
			got[i].Add(uint64(p.Count()))
			if !e.Match(p.Data()) || !p.ParsesAsTheMetadataSays() {
				wrong.Store(fmt.Sprintf("%s got % x, metadata %+v", expr, p.Data()[:min(60, p.Len())], p.Meta()))
			}
		}
	}
	for _, err := range []error{
		m.UDP(9, handler(0, "udp dst port 9")),
		m.Proto(6, handler(1, "tcp")),
		m.EtherType(0x0806, handler(2, "arp")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var seen atomic.Uint64
	if _, err := m.Tap("count", 0, func(_ *xrx.Tap, p xrx.Packet) { seen.Add(uint64(p.Count())) }); err != nil {
		t.Fatal(err)
	}
	x := run(t, r, &m)
	s, maker := sender(t, n), newFrameMaker(n, 16)
	const total = 20_000 // UDP and TCP to port 9, over IPv4 and IPv6, with and without tags
	var want [4]uint64
	for i := range uint64(total) {
		if _, meta := maker.frame(nil, i); meta.L4Proto == frames.ProtoUDP {
			want[0]++
		} else {
			want[1]++
		}
	}
	maker.send(t, s, 0, total, seen.Load)
	arp := append(append(append([]byte{}, n.B.MAC[:]...), n.A.MAC[:]...), make([]byte, 48)...)
	arp[12], arp[13] = 0x08, 0x06
	lldp := append([]byte(nil), arp...)
	lldp[12], lldp[13] = 0x88, 0xcc
	if _, err := s.Send([][]byte{arp, lldp, arp}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "every packet is seen", func() bool { return seen.Load() >= total+3 })
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	if w := wrong.Load(); w != nil {
		t.Error(w)
	}
	want[2] = 2
	for i := range want {
		if got[i].Load() != want[i] {
			t.Errorf("handler %d got %d packets, want %d", i, got[i].Load(), want[i])
		}
	}
	handled := map[string]uint64{}
	for _, q := range r.Snapshot().Queues {
		for k, v := range q.Handled {
			handled[k] += v
		}
	}
	if handled["unclaimed"] != 1 || handled["ethertype 0x0806"] != 2 || handled["udp port 9"] != want[0] {
		t.Errorf("counted %v", handled)
	}
}

func TestATapAtItsLimitMissesPacketsAndNobodyElseNotices(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 2})
	r := open(t, n, &xrx.Config{Frames: 512})
	const limit, total = 100, 20_000
	var m xrx.Mux
	kept := make(chan xrx.Kept, limit)
	tap, err := m.Tap("slow", limit, func(tap *xrx.Tap, p xrx.Packet) {
		if k, ok := tap.Keep(p); ok {
			kept <- k
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var handled atomic.Uint64
	m.Default(func(p xrx.Packet) { handled.Add(1) })
	x := run(t, r, &m)
	s, maker := sender(t, n), newFrameMaker(n, 16)
	maker.window = 128
	maker.send(t, s, 0, total, handled.Load) // all arrive, although the tap lets nothing go
	eventually(t, 20*time.Second, "everything is handled", func() bool { return handled.Load() == total })
	snapshot := r.Snapshot()
	if held, _ := tap.Held(); held != limit || tap.Missed() != total-limit || snapshot.Missed["slow"] != total-limit || snapshot.Kept["slow"] != limit {
		t.Errorf("held %d, missed %d, in the snapshot %v and %v", held, tap.Missed(), snapshot.Missed, snapshot.Kept)
	}
	if l := r.Ledger(); l.Delivered != limit || l.Lost != 0 {
		t.Errorf("ledger %v, want the tap's %d delivered", l, limit)
	}
	var releasers sync.WaitGroup // they keep up from now on, on other goroutines
	for range 3 {
		releasers.Go(func() {
			for k := range kept {
				if k.Packet().Len() < 60 {
					t.Error("a kept packet has changed")
				}
				k.Release()
			}
		})
	}
	eventually(t, 20*time.Second, "the tap has let go", func() bool { held, _ := tap.Held(); return held == 0 })
	missed := tap.Missed()
	maker.window = 32
	maker.send(t, s, total, 5000, func() uint64 { return handled.Load() - total })
	eventually(t, 20*time.Second, "everything is handled again", func() bool { return handled.Load() == total+5000 })
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	close(kept)
	releasers.Wait()
	if tap.Missed()-missed == 5000 {
		t.Error("the tap kept nothing more after it had let go")
	}
	if err := r.Run(t.Context(), &xrx.Mux{}); err == nil || !strings.Contains(err.Error(), "nothing is registered") {
		t.Errorf("Run of an empty Mux: %v", err)
	}
}
