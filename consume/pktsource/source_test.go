package pktsource_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"go.uber.org/goleak"

	"xrx"
	"xrx/consume/pktsource"
	"xrx/gro"
	"xrx/internal/consumertest"
	"xrx/internal/frames"
	"xrx/internal/testnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func source(t *testing.T, cfg *pktsource.Config) *pktsource.Source {
	t.Helper()
	s, err := pktsource.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs the receiver into a source that is closed before the receiver is.
func start(t *testing.T, g *consumertest.Rig, cfg *pktsource.Config) *pktsource.Source {
	t.Helper()
	s := source(t, cfg)
	g.Run(func(ctx context.Context) error { return s.Run(ctx, g.R) })
	t.Cleanup(func() { s.Close() })
	return s
}

// mixture is packets of every kind, each with its number in the payload.
func mixture(g *consumertest.Rig, count int) (list [][]byte) {
	for i := range count {
		payload := binary.BigEndian.AppendUint32(bytes.Repeat([]byte{0xaa}, 100+i%1000), uint32(i))
		v6 := i%2 == 1
		f := frames.UDP(g.From(v6, 4000), g.To(v6, 9), payload)
		if i%3 == 1 {
			f = frames.TCP(g.From(v6, 4000+i), g.To(v6, 9), uint32(i), payload)
		}
		if i%5 == 0 {
			f.VLANs = []frames.VLAN{{TCI: 0x2007}}
		}
		list = append(list, g.Frame(f))
	}
	return list
}

func TestGopacketDecodesEveryLayerOfWhatWasSent(t *testing.T) {
	g := consumertest.New(t, nil, testnet.Options{})
	s := start(t, g, &pktsource.Config{Backlog: 2048, InterfaceIndex: 7})
	list := mixture(g, 1500)
	g.Send(list, g.Received)
	consumertest.Eventually(t, "everything is received", func() bool { return g.Received() >= uint64(len(list)) })
	g.Stop()
	i := 0
	for p := range gopacket.NewPacketSource(s, s.LinkType()).Packets() {
		app := p.ApplicationLayer()
		if app == nil || !bytes.HasPrefix(app.Payload(), []byte{0xaa, 0xaa}) {
			continue // what the namespace itself sends
		}
		if !bytes.Equal(p.Data(), list[i]) {
			t.Fatalf("packet %d is not what was sent", i)
		}
		network, transport := layers.LayerTypeIPv4, layers.LayerTypeUDP
		if i%2 == 1 {
			network = layers.LayerTypeIPv6
		}
		if i%3 == 1 {
			transport = layers.LayerTypeTCP
		}
		tagged := i%5 == 0
		if p.ErrorLayer() != nil || p.Layer(network) == nil || p.Layer(transport) == nil || (p.Layer(layers.LayerTypeDot1Q) != nil) != tagged {
			t.Errorf("packet %d: %v", i, p)
		}
		m := p.Metadata()
		info, ok := m.AncillaryData[0].(*pktsource.Info)
		if !ok || info.HasVLAN != tagged || info.Hash == 0 || info.Segments != 1 || info.GSOSize != 0 || tagged && info.VLAN != 0x2007 || info.Stripped {
			t.Errorf("packet %d: %+v", i, info)
		}
		if m.CaptureLength != len(list[i]) || m.Length != len(list[i]) || m.InterfaceIndex != 7 || m.Timestamp.Year() < 2020 || m.Truncated {
			t.Errorf("packet %d: %+v", i, m.CaptureInfo)
		}
		i++
	}
	if i != len(list) || s.Dropped() != 0 {
		t.Errorf("%d packets of %d, %d dropped", i, len(list), s.Dropped())
	}
}

// stream is so many TCP segments that GRO can merge.
func stream(g *consumertest.Rig, count int) (list [][]byte) {
	f := frames.TCP(g.From(true, 4000), g.To(true, 5201), 1, nil)
	for i := range count {
		f.Payload = binary.BigEndian.AppendUint32(make([]byte, 996), uint32(i))
		list = append(list, g.Frame(f))
		f.Seq += 1000
	}
	return list
}

func TestMergedPacketsAreDecodedInPlaceOrAsTheyWereOnTheWire(t *testing.T) {
	for _, wire := range []bool{false, true} {
		g := consumertest.New(t, &xrx.Config{Frames: 8192, GRO: &gro.Config{Flush: 5e6}}, testnet.Options{})
		s := start(t, g, &pktsource.Config{Backlog: 4096, Wire: wire})
		list := stream(g, 960)
		g.Send(list, g.Received)
		consumertest.Eventually(t, "everything is received", func() bool { return g.Received() >= uint64(len(list)) })
		g.Stop()
		var eth layers.Ethernet
		var ip layers.IPv6
		var tcp layers.TCP
		parser := gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &eth, &ip, &tcp)
		parser.IgnoreUnsupported = true
		var decoded []gopacket.LayerType
		var got []byte
		packets, segments := 0, 0
		for {
			data, ci, err := s.ZeroCopyReadPacketData()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := parser.DecodeLayers(data, &decoded); err != nil || len(decoded) != 3 {
				continue
			}
			info := ci.AncillaryData[0].(*pktsource.Info)
			if wire && (!bytes.Equal(data, list[packets]) || info.Segments != 1) {
				t.Fatalf("packet %d is not what was on the wire; %+v", packets, info)
			}
			packets++
			segments += info.Segments
			got = append(got, tcp.Payload...)
		}
		var want []byte
		for _, b := range list {
			want = append(want, b[len(b)-1000:]...)
		}
		if !bytes.Equal(got, want) || segments != 960 || s.Dropped() != 0 || wire != (packets == 960) || packets == 0 {
			t.Errorf("wire %v: %d bytes of %d, %d segments in %d packets, %d dropped", wire, len(got), len(want), segments, packets, s.Dropped())
		}
	}
}

func TestAReaderThatIsSlowLosesPacketsAndNobodyElseDoes(t *testing.T) {
	g := consumertest.New(t, nil, testnet.Options{})
	s := start(t, g, &pktsource.Config{Backlog: 100})
	list := mixture(g, 3000)
	g.Send(list, g.Received)
	consumertest.Eventually(t, "the receiver has everything although nobody reads", func() bool { return g.Received() >= uint64(len(list)) })
	g.Stop()
	read := uint64(0)
	for {
		if _, _, err := s.ReadPacketData(); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
		read++
	}
	if read != 100 || s.Dropped()+read != g.Received() {
		t.Errorf("%d read, %d dropped, %d received", read, s.Dropped(), g.Received())
	}
}

func TestReadingInPlaceAllocatesNothing(t *testing.T) {
	g := consumertest.New(t, nil, testnet.Options{})
	s := start(t, g, nil)
	list := mixture(g, 600)
	g.Send(list, g.Received)
	consumertest.Eventually(t, "everything is received", func() bool { return g.Received() >= uint64(len(list)) })
	g.Stop()
	if n := testing.AllocsPerRun(500, func() {
		if _, _, err := s.ZeroCopyReadPacketData(); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func TestCloseEndsAReaderThatWaitsAndReleasesEverything(t *testing.T) {
	g := consumertest.New(t, nil, testnet.Options{})
	s := start(t, g, nil)
	ended := make(chan error, 1)
	go func() {
		for {
			if _, _, err := s.ZeroCopyReadPacketData(); err != nil {
				ended <- err
				return
			}
		}
	}()
	g.Send(mixture(g, 10), g.Received)
	consumertest.Eventually(t, "everything is received", func() bool { return g.Received() >= 10 })
	s.Close()
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	g.Send(mixture(g, 10), g.Received) // too late: dropped
	consumertest.Eventually(t, "the rest is dropped", func() bool { return s.Dropped() >= 10 })
}

func TestABacklogThatMakesNoSenseIsRefused(t *testing.T) {
	for _, n := range []int{-1, 5, 1 << 30} {
		if s, err := pktsource.New(&pktsource.Config{Backlog: n}); err == nil || !strings.Contains(err.Error(), "frames") {
			t.Errorf("%d: %v, %v", n, s, err)
		}
	}
}

func TestTheExamplesReceive(t *testing.T) {
	frame := func(n *testnet.Net) frames.Frame {
		return frames.UDP(netip.AddrPortFrom(n.A.IP4, 1), netip.AddrPortFrom(n.B.IP4, 2), slices.Repeat([]byte("hello"), 9))
	}
	for want, example := range map[string]func(){"UDP packets received: true": Example, "UDP payload received: true": ExampleSource_ZeroCopyReadPacketData} {
		consumertest.Example(t, example, want, frame)
	}
}
