package frames

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var (
	v4a, v4b = netip.MustParseAddr("10.11.0.1"), netip.MustParseAddr("10.11.0.2")
	v6a, v6b = netip.MustParseAddr("fd00:11::1"), netip.MustParseAddr("fd00:11::2")
	macA     = net.HardwareAddr{2, 0, 0, 0, 0, 0x0a}
	macB     = net.HardwareAddr{2, 0, 0, 0, 0, 0x0b}
)

// TestFramesAreTheBytesAnotherLibraryWrites uses gopacket as the oracle.
func TestFramesAreTheBytesAnotherLibraryWrites(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		f := Frame{
			SrcMAC: macA, DstMAC: macB, Src: v4a, Dst: v4b, TTL: uint8(1 + rng.IntN(255)), TOS: uint8(rng.Uint32()),
			SrcPort: uint16(rng.Uint32()), DstPort: uint16(rng.Uint32()),
			Seq: rng.Uint32(), Ack: rng.Uint32(), Flags: uint8(rng.Uint32()), Window: uint16(rng.Uint32()), Urgent: uint16(rng.Uint32()),
			Payload: random(rng, rng.IntN(1400)),
		}
		eth := &layers.Ethernet{SrcMAC: macA, DstMAC: macB}
		chain := []gopacket.SerializableLayer{eth}
		next := &eth.EthernetType
		for range rng.IntN(3) {
			v := VLAN{TCI: uint16(rng.Uint32())}
			if len(f.VLANs) == 0 && rng.IntN(2) == 0 {
				v.TPID = TypeQinQ
			}
			f.VLANs = append(f.VLANs, v)
			*next = layers.EthernetType(max(v.TPID, TypeVLAN))
			q := &layers.Dot1Q{Priority: uint8(v.TCI >> 13), DropEligible: v.TCI&0x1000 != 0, VLANIdentifier: v.TCI & 0xfff}
			chain = append(chain, q)
			next = &q.Type
		}
		var network gopacket.NetworkLayer
		f.Proto = ProtoUDP
		if rng.IntN(2) == 0 {
			f.Proto = ProtoTCP
		}
		if rng.IntN(2) == 0 {
			f.Src, f.Dst, f.FlowLabel = v6a, v6b, rng.Uint32()&0xfffff
			*next = TypeIPv6
			ip := &layers.IPv6{Version: 6, TrafficClass: f.TOS, FlowLabel: f.FlowLabel, HopLimit: f.TTL,
				NextHeader: layers.IPProtocol(f.Proto), SrcIP: v6a.AsSlice(), DstIP: v6b.AsSlice()}
			network = ip
			chain = append(chain, ip)
		} else {
			f.ID, f.Fragment = uint16(rng.Uint32()), 0x4000
			*next = TypeIPv4
			ip := &layers.IPv4{Version: 4, IHL: 5, TOS: f.TOS, Id: f.ID, Flags: layers.IPv4DontFragment, TTL: f.TTL,
				Protocol: layers.IPProtocol(f.Proto), SrcIP: v4a.AsSlice(), DstIP: v4b.AsSlice()}
			network = ip
			chain = append(chain, ip)
		}
		if f.Proto == ProtoTCP {
			tcp := &layers.TCP{SrcPort: layers.TCPPort(f.SrcPort), DstPort: layers.TCPPort(f.DstPort), Seq: f.Seq, Ack: f.Ack,
				FIN: f.Flags&FIN != 0, SYN: f.Flags&SYN != 0, RST: f.Flags&RST != 0, PSH: f.Flags&PSH != 0,
				ACK: f.Flags&ACK != 0, URG: f.Flags&URG != 0, ECE: f.Flags&ECE != 0, CWR: f.Flags&CWR != 0,
				Window: f.Window, Urgent: f.Urgent}
			if rng.IntN(2) == 0 {
				ts := random(rng, 8)
				f.TCPOptions = append([]byte{1, 1, 8, 10}, ts...)
				tcp.Options = []layers.TCPOption{{OptionType: 1}, {OptionType: 1}, {OptionType: 8, OptionLength: 10, OptionData: ts}}
			}
			must(t, tcp.SetNetworkLayerForChecksum(network))
			chain = append(chain, tcp)
		} else {
			udp := &layers.UDP{SrcPort: layers.UDPPort(f.SrcPort), DstPort: layers.UDPPort(f.DstPort)}
			must(t, udp.SetNetworkLayerForChecksum(network))
			chain = append(chain, udp)
		}
		chain = append(chain, gopacket.Payload(f.Payload))
		buf := gopacket.NewSerializeBuffer()
		must(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, chain...))
		got := f.Append(nil)
		want := buf.Bytes()
		// gopacket pads after an Ethernet header and knows no zero UDP sum.
		if len(want) > len(got) {
			want = want[:len(got)]
		}
		if string(got) != string(want) {
			t.Fatalf("frame %d, %+v:\n got %x\nwant %x", i, f, got, want)
		}
		if f.Headers() != len(got)-len(f.Payload) {
			t.Fatalf("frame %d: Headers() = %d, frame %d bytes, payload %d", i, f.Headers(), len(got), len(f.Payload))
		}
	}
}

func TestExtensionHeadersAndOptionsAreDecodedBack(t *testing.T) {
	f := UDP(netip.AddrPortFrom(v6a, 1), netip.AddrPortFrom(v6b, 2), []byte("payload"))
	f.Exts = []Ext{{ExtHopByHop, []byte{0, 1, 4, 0, 0, 0, 0}}, {ExtDestOpts, []byte{0, 1, 4, 0, 0, 0, 0}}}
	p := gopacket.NewPacket(f.Append(nil), layers.LayerTypeEthernet, gopacket.Default)
	for _, want := range []gopacket.LayerType{layers.LayerTypeIPv6HopByHop, layers.LayerTypeIPv6Destination, layers.LayerTypeUDP} {
		if p.Layer(want) == nil {
			t.Errorf("no %v in %v", want, p)
		}
	}
	g := TCP(netip.AddrPortFrom(v4a, 1), netip.AddrPortFrom(v4b, 2), 7, []byte("payload"))
	g.IPOptions = []byte{7, 7, 4, 0, 0, 0, 0, 0} // record route, padded
	b := g.Append(nil)
	p = gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	if ip, ok := p.NetworkLayer().(*layers.IPv4); !ok || ip.IHL != 7 || p.TransportLayer() == nil {
		t.Errorf("options lost: %v", p)
	}
	if Checksum(b[14:14+28], 0) != 0 {
		t.Error("IPv4 header checksum does not cover the options")
	}
}

func TestLaterFragmentsHaveNoL4Header(t *testing.T) {
	f := UDP(netip.AddrPortFrom(v4a, 1), netip.AddrPortFrom(v4b, 2), []byte("rest"))
	f.Fragment = 185
	if b := f.Append(nil); len(b) != 14+20+4 || f.Headers() != 34 || string(b[34:]) != "rest" {
		t.Errorf("IPv4: %x, headers %d", b, f.Headers())
	}
	f = UDP(netip.AddrPortFrom(v6a, 1), netip.AddrPortFrom(v6b, 2), []byte("rest"))
	f.Exts, f.NoL4 = []Ext{{ExtFragment, []byte{0, 5, 0xc8, 0, 0, 0, 1}}}, true
	if b := f.Append(nil); len(b) != 14+40+8+4 || f.Headers() != 62 || string(b[62:]) != "rest" {
		t.Errorf("IPv6: %x, headers %d", b, f.Headers())
	}
}

func TestChecksumVariants(t *testing.T) {
	f := UDP(netip.AddrPortFrom(v4a, 1), netip.AddrPortFrom(v4b, 2), []byte("payload"))
	field := func(f Frame) uint16 { return binary.BigEndian.Uint16(f.Append(nil)[14+20+6:]) }
	none, partial := f, f
	none.NoChecksum, partial.PartialChecksum = true, true
	if got := field(none); got != 0 {
		t.Errorf("no checksum: %#x", got)
	}
	if got, want := field(partial), fold(PseudoSum(v4a, v4b, ProtoUDP, 15)); got != want {
		t.Errorf("partial checksum %#x, want %#x", got, want)
	}
	// The one source port that makes the sum zero must read 0xffff.
	for port := range 65536 {
		f.SrcPort = uint16(port)
		if field(f) == 0 {
			t.Fatalf("port %d: checksum 0 means none", port)
		}
	}
}

func TestChecksumAgreesWithWordByWordSum(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for n := range 300 {
		data := random(rng, n)
		if n%3 == 0 {
			for i := range data {
				data[i] = 0xff
			}
		}
		start := rng.Uint64() >> rng.IntN(64)
		sum := uint64(fold(start))
		for i := 0; i < n; i += 2 {
			w := uint64(data[i]) << 8
			if i+1 < n {
				w |= uint64(data[i+1])
			}
			sum += w
		}
		got, want := Checksum(data, start), ^fold(sum)
		// 0 and 0xffff are the same number in ones' complement.
		if got != want && !(got%0xffff == 0 && want%0xffff == 0) {
			t.Fatalf("%d bytes from %#x: %#x, want %#x", n, start, got, want)
		}
	}
}

func TestAppendIntoRoomDoesNotAllocate(t *testing.T) {
	f := TCP(netip.AddrPortFrom(v6a, 1), netip.AddrPortFrom(v6b, 2), 1, make([]byte, 1400))
	f.SrcMAC, f.DstMAC, f.VLANs = macA, macB, []VLAN{{TCI: 5}}
	buf := make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() { buf = f.Append(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppendUDP1500(b *testing.B) {
	f := UDP(netip.AddrPortFrom(v4a, 1), netip.AddrPortFrom(v4b, 2), make([]byte, 1472))
	buf := make([]byte, 0, 2048)
	for b.Loop() {
		buf = f.Append(buf[:0])
	}
}

func random(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
