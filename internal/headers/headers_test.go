package headers

import (
	"net/netip"
	"testing"

	"xrx/internal/frames"
)

var (
	src4, dst4 = netip.MustParseAddrPort("10.0.0.1:4000"), netip.MustParseAddrPort("10.0.0.2:53")
	src6, dst6 = netip.MustParseAddrPort("[fd00::1]:4000"), netip.MustParseAddrPort("[fd00::2]:53")
)

func samples() map[string][]byte {
	udp, tcp := frames.UDP(src4, dst4, []byte("hello")), frames.TCP(src6, dst6, 77, []byte("hello"))
	udp.Pad = true
	tcp.VLANs = []frames.VLAN{{TPID: frames.TypeQinQ, TCI: 0x2007}, {TCI: 8}}
	tcp.Exts = []frames.Ext{{Type: frames.ExtHopByHop, Body: make([]byte, 7)}, {Type: frames.ExtDestOpts, Body: append([]byte{1}, make([]byte, 14)...)}}
	return map[string][]byte{"udp": udp.Append(nil), "tcp": tcp.Append(nil)}
}

func TestAddressesPortsAndPayloadAreFound(t *testing.T) {
	var p Packet
	b := samples()["udp"]
	if problem := p.Parse(b, len(b)); problem != OK || Addr(p.Src, p.V6) != src4.Addr() || p.DstPort != 53 || p.Proto != UDP || string(b[p.Payload:p.End]) != "hello" {
		t.Errorf("%d, %+v", problem, p)
	}
	b = samples()["tcp"]
	if problem := p.Parse(b, len(b)); problem != OK || Addr(p.Dst, p.V6) != dst6.Addr() || p.SrcPort != 4000 || p.VLAN != 0x2007 || p.Seq != 77 || p.Flags != frames.ACK || string(b[p.Payload:p.End]) != "hello" {
		t.Errorf("%d, %+v", problem, p)
	}
}

// FuzzParse: any bytes give offsets inside the packet or a problem; a packet that is cut off is never sound with another
// end.
func FuzzParse(f *testing.F) {
	for _, b := range samples() {
		f.Add(b)
		f.Add(b[:len(b)-6])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Packet
		problem := p.Parse(b, len(b))
		if problem == OK && !(14 <= p.L3 && p.L3 < p.L4 && p.L4 <= p.Payload && p.Payload <= p.End && p.End <= len(b)) {
			t.Fatalf("%+v of %d bytes", p, len(b))
		}
	})
}
