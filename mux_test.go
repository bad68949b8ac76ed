package xrx

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"xrx/internal/fakekernel"
	"xrx/internal/frames"
	"xrx/internal/testnet"
	"xrx/match"
	"xrx/umem"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// muxed makes the Mux the consumer of a bare queue.
func (b *bare) muxed(t testing.TB, m *Mux) *lane {
	t.Helper()
	if err := m.use(); err != nil {
		t.Fatal(err)
	}
	b.mux = newLane(m, &b.guard, true)
	b.handle, b.batch = nil, b.mux.deliver
	return b.mux
}

func TestAMuxRefusesWhatCannotBeAndRunSaysSoToo(t *testing.T) {
	h := Handler(func(Packet) {})
	see := func(*Tap, Packet) {}
	for _, c := range []struct {
		name string
		do   func(*Mux) error
		want string
	}{
		{"two handlers for a port", func(m *Mux) error { m.Port(53, h); return m.Port(53, h) }, "port 53 has a handler already"},
		{"two handlers for a UDP port", func(m *Mux) error { m.UDP(53, h); return m.UDP(53, h) }, "udp port 53 has a handler already"},
		{"two defaults", func(m *Mux) error { m.Default(h); return m.Default(h) }, "default has a handler already"},
		{"two for a protocol", func(m *Mux) error { m.Proto(17, h); return m.Proto(17, h) }, "proto 17 has a handler already"},
		{"two for an EtherType", func(m *Mux) error { m.EtherType(0x806, h); return m.EtherType(0x806, h) }, "ethertype 0x0806 has a handler already"},
		{"a length", func(m *Mux) error { return m.EtherType(0x5ff, h) }, "802.3 length"},
		{"a tag", func(m *Mux) error { return m.EtherType(0x8100, h) }, "VLAN tag"},
		{"an extension header", func(m *Mux) error { return m.Proto(44, h) }, "extension header"},
		{"no handler", func(m *Mux) error { return m.TCP(80, nil) }, "tcp port 80: the handler is nil"},
		{"a tap without a name", func(m *Mux) error { _, err := m.Tap("", 1, see); return err }, "needs a name"},
		{"two taps of a name", func(m *Mux) error { m.Tap("a", 1, see); _, err := m.Tap("a", 1, see); return err }, "there is a tap a already"},
		{"a tap without a function", func(m *Mux) error { _, err := m.Tap("a", 1, nil); return err }, "function is nil"},
		{"a limit below nothing", func(m *Mux) error { _, err := m.Tap("a", -1, see); return err }, "want 0 to"},
		{"nothing at all", func(m *Mux) error { return m.use() }, "nothing is registered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m Mux
			if err := c.do(&m); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q in it", err, c.want)
			}
			if err := m.use(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("use: %v, want %q in it", err, c.want)
			}
		})
	}
	t.Run("while it is in use", func(t *testing.T) {
		var m Mux
		m.Default(h)
		if err := m.use(); err != nil {
			t.Fatal(err)
		}
		_, tap := m.Tap("late", 1, see)
		for _, err := range []error{m.Port(1, h), tap} {
			if err == nil || !strings.Contains(err.Error(), "register before Run") {
				t.Errorf("%v", err)
			}
		}
		if err := m.use(); err != nil {
			t.Errorf("a late registration spoiled the Mux: %v", err)
		}
	})
}

// anyFrame is a random packet: tags, both IPs, extension headers, fragments, protocols with ports and without, ARP, and
// one in four with its end cut off.
func anyFrame(rng *rand.Rand) []byte {
	f := frames.Frame{Src: four(1), Dst: four(2), SrcPort: uint16(50 + rng.IntN(8)), DstPort: uint16(50 + rng.IntN(8)), Payload: make([]byte, rng.IntN(40))}
	f.Proto = []uint8{6, 17, 132, 1, 47}[rng.IntN(5)]
	if rng.IntN(2) == 0 {
		f.Src, f.Dst = netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	}
	if f.Proto == 132 || f.Proto == 1 || f.Proto == 47 {
		f.Payload = append([]byte{0, byte(50 + rng.IntN(8)), 0, byte(50 + rng.IntN(8))}, f.Payload...)
	}
	for range rng.IntN(4) {
		f.VLANs = append(f.VLANs, frames.VLAN{TCI: 5})
	}
	if rng.IntN(4) == 0 && f.Src.Is4() {
		f.Fragment = []uint16{0x2000, 0x2003, 5}[rng.IntN(3)]
	}
	b := f.Append(nil)
	at := 12 + 4*len(f.VLANs)
	if f.Src.Is6() && rng.IntN(3) == 0 { // an extension header in between, of a random kind
		ip := at + 2
		ext := make([]byte, 8)
		ext[0], b[ip+6] = b[ip+6], []byte{0, 43, 44, 60}[rng.IntN(4)]
		if rng.IntN(2) == 0 {
			ext[3] = byte(rng.IntN(32))
		}
		b = append(b[:ip+40:ip+40], append(ext, b[ip+40:]...)...)
	}
	if rng.IntN(6) == 0 {
		b[at], b[at+1] = 0x08, 0x06
	}
	if rng.IntN(4) == 0 {
		b = b[:14+rng.IntN(len(b)-13)]
	}
	return b
}

// The match expressions decide by the same rules, and are held to tcpdump and the XDP program.
func TestEachHandlerGetsExactlyThePacketsThatAMatchExpressionWouldFind(t *testing.T) {
	rng := rand.New(rand.NewPCG(testnet.Seed(t), 2))
	one := must[*match.Expr](t)
	expr := func(s string) *match.Expr { return one(match.Parse(s)) }
	// In the order of precedence: the first that holds is the packet's.
	rules := []struct {
		name string
		expr *match.Expr
		add  func(*Mux, Handler) error
	}{
		{"tcp port 53", expr("tcp dst port 53"), func(m *Mux, h Handler) error { return m.TCP(53, h) }},
		{"udp port 54", expr("udp dst port 54"), func(m *Mux, h Handler) error { return m.UDP(54, h) }},
		{"port 53", expr("dst port 53"), func(m *Mux, h Handler) error { return m.Port(53, h) }},
		{"port 55", expr("dst port 55"), func(m *Mux, h Handler) error { return m.Port(55, h) }},
		{"tcp port 53", expr("tcp src port 53"), nil},
		{"udp port 54", expr("udp src port 54"), nil},
		{"port 53", expr("src port 53"), nil},
		{"port 55", expr("src port 55"), nil},
		{"proto 17", expr("udp"), func(m *Mux, h Handler) error { return m.Proto(17, h) }},
		{"proto 1", expr("proto 1"), func(m *Mux, h Handler) error { return m.Proto(1, h) }},
		{"ethertype 0x0806", expr("arp"), func(m *Mux, h Handler) error { return m.EtherType(0x0806, h) }},
		{"ethertype 0x86dd", expr("ether type 0x86dd"), func(m *Mux, h Handler) error { return m.EtherType(0x86dd, h) }},
	}
	for _, fallback := range []string{"default", unclaimed} {
		t.Run(fallback, func(t *testing.T) {
			b := quiet(newBare(t, umem.Config{Frames: 128}, 64, nil))
			var m Mux
			got := map[string]int{}
			last := ""
			for _, r := range rules {
				if r.add != nil {
					if err := r.add(&m, func(Packet) { got[r.name]++; last = r.name }); err != nil {
						t.Fatal(err)
					}
				}
			}
			if fallback == "default" {
				m.Default(func(Packet) { got["default"]++; last = "default" })
			}
			l := b.muxed(t, &m)
			want := map[string]uint64{}
			for range 20_000 {
				p := anyFrame(rng)
				name := fallback
				for _, r := range rules {
					if r.expr.Match(p) {
						name = r.name
						break
					}
				}
				last = unclaimed
				b.arriveAndPoll(t, p)
				want[name]++
				if last != name {
					t.Fatalf("% x\nwent to %s, want %s", p, last, name)
				}
			}
			if c := l.counted(); fmt.Sprint(c) != fmt.Sprint(want) || len(want) < 9 {
				t.Errorf("counted %v, want %v", c, want)
			}
			b.balance(t, 0)
		})
	}
}

func TestPortsAreFoundAmongAllThatThereAre(t *testing.T) {
	rng := rand.New(rand.NewPCG(testnet.Seed(t), 3))
	var p ports
	want := map[uint16]uint16{}
	for i := range uint16(400) {
		port := uint16(rng.Uint32())
		p.set(port, i+1)
		want[port] = i + 1
	}
	for port := range 1 << 16 {
		if got := p.of(uint16(port)); got != want[uint16(port)] {
			t.Fatalf("port %d: %d, want %d", port, got, want[uint16(port)])
		}
	}
}

func TestATapSeesEverythingBeforeHandlersAndKeepsUpToItsLimit(t *testing.T) {
	b := quiet(newBare(t, umem.Config{Frames: 128}, 64, nil))
	var m Mux
	var order []string
	var kept []Kept
	tap := must[*Tap](t)(m.Tap("capture", 10, func(tap *Tap, p Packet) {
		order = append(order, "tap")
		if k, ok := tap.Keep(p); ok {
			kept = append(kept, k)
		}
	}))
	none := must[*Tap](t)(m.Tap("watch", 0, func(tap *Tap, p Packet) {
		if _, ok := tap.Keep(p); ok {
			t.Error("a tap without frames kept one")
		}
	}))
	handled := 0
	m.Default(func(Packet) { order = append(order, "handler"); handled++ })
	b.muxed(t, &m)
	b.arriveAndPoll(t, numbered(32)...)
	if held, limit := tap.Held(); held != 10 || limit != 10 || tap.Missed() != 22 || none.Missed() != 32 || handled != 32 {
		t.Errorf("held %d of %d, missed %d and %d, handled %d", held, limit, tap.Missed(), none.Missed(), handled)
	}
	if strings.Join(order, " ") != strings.Repeat("tap ", 32)+strings.TrimSpace(strings.Repeat("handler ", 32)) {
		t.Errorf("order %v", order)
	}
	if n := b.pool.In(umem.Delivered); n != 10 {
		t.Errorf("%d frames delivered, want the tap's 10", n)
	}
	first := kept[0]
	if got := first.Packet().Bytes(nil); string(got) != string(plain(0, 60)) {
		t.Errorf("kept % x", got)
	}
	var others sync.WaitGroup
	for _, k := range kept { // each on a goroutine of its own
		others.Go(k.Release)
	}
	others.Wait()
	for name, f := range map[string]func(){"released twice": first.Release, "used that it has released": func() { first.Packet() }} {
		func() {
			defer func() {
				if v := fmt.Sprint(recover()); !strings.Contains(v, "tap capture: a packet is "+name) {
					t.Errorf("%s: %v", name, v)
				}
			}()
			f()
		}()
	}
	b.arriveAndPoll(t, numbered(32)...)
	if held, _ := tap.Held(); held != 10 || tap.Missed() != 44 {
		t.Errorf("the second time it held %d and missed %d in all", held, tap.Missed())
	}
	for _, k := range kept[10:] {
		k.Release()
	}
	b.pool.Reclaim()
	if b.pool.In(umem.Delivered) != 0 {
		t.Error("frames are still out")
	}
	b.balance(t, 0)
}

// A chain of frames counts as what it takes away from the queue.
func TestATapsLimitIsOfFramesNotOfPackets(t *testing.T) {
	b := newChains(t, "GRO off")
	var m Mux
	var kept []Kept
	tap := must[*Tap](t)(m.Tap("capture", 5, func(tap *Tap, p Packet) {
		if k, ok := tap.Keep(p); ok {
			kept = append(kept, k)
		}
	}))
	b.muxed(t, &m)
	b.arriveAndPoll(t, plain(1, 2*chunk), plain(2, 2*chunk), plain(3, 2*chunk), plain(4, 60))
	if held, _ := tap.Held(); held != 5 || tap.Missed() != 1 || len(kept) != 3 {
		t.Errorf("%d frames held in %d packets, %d missed; want 2+2+1 frames, 1 missed", held, len(kept), tap.Missed())
	}
	for _, k := range kept {
		k.Release()
	}
	b.pool.Reclaim()
	b.balance(t, 0)
}

func TestATapThatPanicsTakesNoPacketFromAnybody(t *testing.T) {
	b := quiet(newBare(t, umem.Config{Frames: 128}, 64, nil))
	var m Mux
	n, seen, handled := 0, 0, 0
	m.Tap("bad", 4, func(tap *Tap, p Packet) {
		if n++; n%3 == 0 {
			panic("every third")
		}
	})
	m.Tap("good", 4, func(*Tap, Packet) { seen++ })
	m.Proto(17, func(Packet) { panic("and this handler") })
	m.Default(func(Packet) { handled++ })
	l := b.muxed(t, &m)
	udp := (&frames.Frame{Src: four(1), Dst: four(2), Proto: 17}).Append(nil)
	b.arriveAndPoll(t, append(numbered(29), udp)...)
	c := b.guard.log.counts(0)
	if n != 30 || seen != 30 || handled != 29 || c.by["bad"] != 10 || c.by["proto 17"] != 1 || c.lost != 1 || l.counted()["proto 17"] != 1 {
		t.Errorf("bad saw %d, good %d, handled %d, counted %+v", n, seen, handled, c)
	}
	b.balance(t, 0)
	t.Run("fatally", func(t *testing.T) {
		b.guard.fatal = true
		before := handled
		b.arriveAndPoll(t, numbered(20)...)
		if c := b.guard.log.counts(0); b.guard.err() == nil || handled != before || c.unseen != 20 {
			t.Errorf("%v, handled %d more, %+v", b.guard.err(), handled-before, c)
		}
		b.balance(t, 0)
	})
}

func BenchmarkMux(b *testing.B) {
	for _, c := range []struct {
		name string
		meta bool
		taps int
	}{{"by metadata", true, 0}, {"by parsing", false, 0}, {"by metadata, one tap", true, 1}} {
		b.Run(c.name, func(b *testing.B) {
			q := newBare(b, umem.Config{Frames: 512}, 256, nil)
			var m Mux
			seen := 0
			h := Handler(func(Packet) { seen++ })
			m.Port(80, h)
			m.UDP(53, h)
			m.Proto(1, h)
			m.EtherType(0x0806, h)
			for i := range c.taps {
				m.Tap(fmt.Sprint(i), 0, func(*Tap, Packet) {})
			}
			q.muxed(b, &m)
			p := fakekernel.Packet{Data: (&frames.Frame{Src: four(1), Dst: four(2), Proto: 6, SrcPort: 1, DstPort: 80}).Append(nil)}
			if c.meta {
				p.Meta = []byte{1, 2, 3, 4, 0, 0, 1, 4, 14, 34, 6, 0x13}
			}
			list := make([]fakekernel.Packet, bareBudget)
			for i := range list {
				list[i] = p
			}
			benchmarkList(b, q, list)
			if seen != b.N*bareBudget {
				b.Fatalf("%d packets handled", seen)
			}
		})
	}
}
