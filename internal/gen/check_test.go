package gen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"xrx/internal/frames"
)

func testStream(tcp, ipv6 bool) Stream {
	s := Stream{
		TCP: tcp, SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2},
		Src: netip.MustParseAddr("10.11.0.1"), Dst: netip.MustParseAddr("10.11.0.2"),
	}
	if ipv6 {
		s.Src, s.Dst = netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	}
	return s
}

func TestWrittenFramesPassTheCheck(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		for _, ipv6 := range []bool{false, true} {
			s := testStream(tcp, ipv6)
			for _, sizes := range [][]int{nil, {s.MinSize()}, Range(s.MinSize(), 1514), {MaxSize}} {
				s.Sizes, s.Flows, s.Burst = sizes, 5, 3
				w, err := NewWriter(s)
				if err != nil {
					t.Fatal(err)
				}
				for n := range uint64(2000) {
					b := w.Append(nil)
					seq, flow, err := Check(b)
					if want := uint32(n / 3 % 5); err != nil || seq != n || flow != want {
						t.Fatalf("TCP %v, IPv6 %v, %d sizes, frame %d: seq %d, flow %d (want %d), %v", tcp, ipv6, len(sizes), n, seq, flow, want, err)
					}
					if len(sizes) > 0 && len(b) != sizes[n%uint64(len(sizes))] {
						t.Fatalf("frame %d has %d bytes", n, len(b))
					}
				}
			}
		}
	}
}

// TestFlowsAreValidStreams looks at the frames with another decoder.
func TestFlowsAreValidStreams(t *testing.T) {
	s := testStream(true, false)
	s.Flows, s.Burst, s.Sizes = 3, 2, []int{1514, 200, 90}
	w, err := NewWriter(s)
	if err != nil {
		t.Fatal(err)
	}
	type flow struct {
		next uint32
		id   uint16
	}
	flows := map[layers.TCPPort]*flow{}
	for n := range 300 {
		p := gopacket.NewPacket(w.Append(nil), layers.LayerTypeEthernet, gopacket.Default)
		ip, _ := p.NetworkLayer().(*layers.IPv4)
		tcp, _ := p.TransportLayer().(*layers.TCP)
		if ip == nil || tcp == nil {
			t.Fatalf("frame %d: %v", n, p)
		}
		f := flows[tcp.SrcPort]
		if f == nil {
			f = &flow{}
			flows[tcp.SrcPort] = f
		}
		if tcp.Seq != f.next || ip.Id != f.id {
			t.Fatalf("frame %d: TCP sequence %d, id %d; want %d, %d", n, tcp.Seq, ip.Id, f.next, f.id)
		}
		if !tcp.ACK || tcp.SYN || tcp.FIN || tcp.PSH || tcp.Ack != 1 || tcp.Window != 65535 || len(tcp.Options) != 3 || ip.Flags != layers.IPv4DontFragment {
			t.Fatalf("frame %d: %+v", n, tcp)
		}
		f.next += uint32(len(tcp.Payload))
		f.id++
	}
	if len(flows) != 3 {
		t.Errorf("%d flows", len(flows))
	}
}

func TestEveryChangedByteIsNoticed(t *testing.T) {
	for _, c := range []struct {
		tcp, ipv6 bool
		size      int
		skip      []int // bytes that nothing covers
	}{
		// MAC addresses are nobody's content. In IPv6 nor are traffic class,
		// flow label and hop limit.
		{false, false, 60, nil}, {false, false, 200, nil}, {true, false, 60, nil}, {true, false, 200, nil},
		{false, true, 100, []int{14, 15, 16, 17, 21}}, {true, true, 200, []int{14, 15, 16, 17, 21}},
	} {
		s := testStream(c.tcp, c.ipv6)
		s.Sizes = []int{c.size}
		w, err := NewWriter(s)
		if err != nil {
			t.Fatal(err)
		}
		good := w.Append(nil)
		for i := 12; i < len(good); i++ {
			skipped := false
			for _, n := range c.skip {
				skipped = skipped || n == i
			}
			if skipped {
				continue
			}
			for bit := range 8 {
				bad := append([]byte(nil), good...)
				bad[i] ^= 1 << bit
				if _, _, err := Check(bad); err == nil {
					t.Errorf("%+v: bit %d of byte %d changed, and it passed", c, bit, i)
				}
			}
		}
		for n := range good {
			if _, _, err := Check(good[:n]); err == nil {
				t.Errorf("%+v: cut to %d bytes it passed", c, n)
			}
		}
		if _, _, err := Check(append(append([]byte(nil), good...), 0, 0, 0)); err != nil {
			t.Errorf("%+v: padding was refused: %v", c, err)
		}
	}
}

// TestContentIsCheckedBeyondTheChecksum damages payloads and repairs the sum.
func TestContentIsCheckedBeyondTheChecksum(t *testing.T) {
	for _, size := range []int{64, 500} {
		for i := range size - 42 {
			f := testStream(false, false).frame()
			f.SrcPort, f.DstPort = ports(0)
			f.Payload = make([]byte, size-42)
			putPayload(f.Payload, 77, 0, 9)
			f.Payload[i] ^= 0x40
			seq, _, err := Check(f.Append(nil))
			// The sequence number is what it is: any value is one.
			if (err == nil) != (i < 8) {
				t.Errorf("size %d, payload byte %d changed: seq %d, %v", size, i, seq, err)
			}
		}
	}
}

func TestForeignFramesAreToldFromDamagedOnes(t *testing.T) {
	from, to := netip.MustParseAddrPort("10.0.0.1:53"), netip.MustParseAddrPort("10.0.0.2:53")
	other := frames.UDP(from, to, make([]byte, 100))
	arp := frames.Frame{EtherType: 0x0806, Payload: make([]byte, 46)}
	icmp := frames.Frame{Src: from.Addr(), Dst: to.Addr(), Proto: 1, Payload: make([]byte, 30)}
	for _, f := range []frames.Frame{other, arp, icmp} {
		if _, _, err := Check(f.Append(nil)); !errors.Is(err, ErrForeign) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	ours := testStream(false, false).frame()
	ours.SrcPort, ours.DstPort = ports(3)
	ours.Payload = make([]byte, 40)
	if _, _, err := Check(ours.Append(nil)); err == nil || errors.Is(err, ErrForeign) {
		t.Errorf("our ports without our content: %v", err)
	}
}

func TestPortsAndFlowsCorrespond(t *testing.T) {
	seen := make(map[[2]uint16]bool, MaxFlows)
	for flow := range uint32(MaxFlows) {
		src, dst := ports(flow)
		if got, ok := flowOf(src, dst); !ok || got != flow || seen[[2]uint16{src, dst}] {
			t.Fatalf("flow %d: ports %d, %d, back to %d, %v", flow, src, dst, got, ok)
		}
		seen[[2]uint16{src, dst}] = true
	}
	for _, p := range [][2]uint16{{9999, 9000}, {60000, 9000}, {10000, 8999}, {10000, 9021}, {10000 + MaxFlows - 20*srcPorts, 9020}} {
		if flow, ok := flowOf(p[0], p[1]); ok {
			t.Errorf("ports %v are flow %d", p, flow)
		}
	}
}

func TestTallyNamesWhatIsWrong(t *testing.T) {
	s := testStream(false, false)
	s.Flows = 2
	w, err := NewWriter(s)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for range 200 {
		all = append(all, w.Append(nil))
	}
	for _, c := range []struct {
		name  string
		order func() [][]byte
		want  string // empty: nothing is wrong
	}{
		{"all in order", func() [][]byte { return all }, ""},
		{"flows overtake each other", func() [][]byte {
			o := append([][]byte(nil), all...)
			o[10], o[11] = o[11], o[10]
			return o
		}, ""},
		{"one missing in the middle", func() [][]byte { return append(append([][]byte(nil), all[:50]...), all[51:]...) }, "1 missing"},
		{"the last missing", func() [][]byte { return all[:199] }, "1 missing"},
		{"one twice", func() [][]byte { return append(append([][]byte(nil), all...), all[7]) }, "1 duplicate"},
		{"a flow out of order", func() [][]byte {
			o := append([][]byte(nil), all...)
			o[10], o[12] = o[12], o[10]
			return o
		}, "1 out of order"},
		{"one damaged", func() [][]byte {
			o := append([][]byte(nil), all...)
			o[10] = append([]byte(nil), o[10]...)
			o[10][50]++
			return o
		}, "1 damaged"},
		{"none", func() [][]byte { return nil }, "200 missing"},
		{"more than were sent", func() [][]byte { return append(append([][]byte(nil), all...), w.Append(nil)) }, "1 beyond"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tally Tally
			for _, f := range c.order() {
				tally.Add(f)
			}
			err := tally.Err(200)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestStreamsThatCannotBeSentAreRefused(t *testing.T) {
	for _, c := range []struct {
		change func(*Stream)
		want   string
	}{
		{func(s *Stream) { s.Flows = MaxFlows + 1 }, "flows"},
		{func(s *Stream) { s.Burst = -1 }, "burst"},
		{func(s *Stream) { s.SrcMAC = nil }, "MAC"},
		{func(s *Stream) { s.Src = netip.Addr{} }, "address"},
		{func(s *Stream) { s.Dst = netip.MustParseAddr("::1") }, "IP version"},
		{func(s *Stream) { s.Src, s.Dst = netip.MustParseAddr("::ffff:1.2.3.4"), netip.MustParseAddr("::1") }, "IPv4 as IPv4"},
		{func(s *Stream) { s.VLANs = make([]frames.VLAN, 3) }, "VLAN"},
		{func(s *Stream) { s.Sizes = make([]int, maxSizes+1) }, "sizes"},
		{func(s *Stream) { s.Sizes = []int{64, MaxSize + 1} }, "size"},
		{func(s *Stream) { s.TCP, s.Sizes, s.VLANs = true, []int{60}, make([]frames.VLAN, 1) }, "64..9022"},
	} {
		s := testStream(false, false)
		c.change(&s)
		if _, err := NewWriter(s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want it to say %q", s, err, c.want)
		}
	}
}

func TestWritingAndCheckingDoNotAllocate(t *testing.T) {
	s := testStream(true, true)
	s.Sizes = []int{1514, 100}
	w, err := NewWriter(s)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(200, func() {
		b = w.Append(b[:0])
		if _, _, err := Check(b); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
}

func FuzzCheckTakesAnyFrame(f *testing.F) {
	for _, tcp := range []bool{false, true} {
		for _, ipv6 := range []bool{false, true} {
			s := testStream(tcp, ipv6)
			s.VLANs = []frames.VLAN{{TCI: 1}}
			w, err := NewWriter(s)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(w.Append(nil))
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		before := string(frame)
		_, flow, err := Check(frame)
		if string(frame) != before {
			t.Fatal("the frame was changed")
		}
		if err == nil && flow >= MaxFlows {
			t.Fatalf("flow %d", flow)
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	for _, size := range []int{64, 1514} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := testStream(false, false)
			s.Sizes = []int{size}
			w, err := NewWriter(s)
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 0, 2048)
			for b.Loop() {
				buf = w.Append(buf[:0])
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, size := range []int{64, 1514} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := testStream(false, false)
			s.Sizes = []int{size}
			w, err := NewWriter(s)
			if err != nil {
				b.Fatal(err)
			}
			frame := w.Append(nil)
			for b.Loop() {
				if _, _, err := Check(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
