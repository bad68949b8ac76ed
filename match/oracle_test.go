package match_test

import (
	"net/netip"
	"testing"

	"xrx/internal/frames"
	"xrx/match"
)

func frame(change ...func(*frames.Frame)) []byte {
	f := frames.UDP(netip.MustParseAddrPort("10.1.2.3:5000"), netip.MustParseAddrPort("192.168.7.9:53"), make([]byte, 20))
	for _, c := range change {
		c(&f)
	}
	return f.Append(nil)
}

func over6(f *frames.Frame) {
	f.Src, f.Dst = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:0:5::2")
}
func proto(p uint8) func(*frames.Frame) { return func(f *frames.Frame) { f.Proto = p } }
func tags(ids ...uint16) func(*frames.Frame) {
	return func(f *frames.Frame) {
		for _, id := range ids {
			f.VLANs = append(f.VLANs, frames.VLAN{TCI: 0xe000 | id})
		}
	}
}
func payload(b ...byte) func(*frames.Frame) { return func(f *frames.Frame) { f.Payload = b } }
func fragment(v uint16) func(*frames.Frame) { return func(f *frames.Frame) { f.Fragment = v } }
func arp(f *frames.Frame) {
	*f = frames.Frame{EtherType: 0x0806, Payload: make([]byte, 46)}
}

func TestWhatEachTermMeans(t *testing.T) {
	udp, tcp := frame(), frame(proto(frames.ProtoTCP))
	udp6, ping6 := frame(over6), frame(over6, proto(58), payload(135, 0, 0, 0))
	hop := frame(over6, func(f *frames.Frame) { f.Exts = []frames.Ext{{Type: 0, Body: make([]byte, 7)}} })
	ping := frame(proto(1), payload(8, 0, 0, 0))
	first, later := frame(fragment(0x2000)), frame(fragment(0x0002))
	tagged, double := frame(tags(5)), frame(tags(5, 7))
	request := frame(arp)
	cut := udp[:14+20+2]

	for _, c := range []struct {
		expr     string
		yes, not [][]byte
	}{
		{"ip", [][]byte{udp, tcp, tagged, double, cut, later}, [][]byte{udp6, request}},
		{"ip6", [][]byte{udp6, hop, ping6}, [][]byte{udp, request}},
		{"arp", [][]byte{request}, [][]byte{udp, udp6}},
		{"ether type 0x8100", [][]byte{frame(tags(1, 2, 3))}, [][]byte{double, tagged, udp}},
		{"vlan", [][]byte{tagged, double}, [][]byte{udp, request}},
		{"vlan 5", [][]byte{tagged, double}, [][]byte{udp, frame(tags(6))}},
		{"vlan 7", [][]byte{double}, [][]byte{tagged, frame(tags(1, 2, 7))}},
		{"udp", [][]byte{udp, udp6, hop, double, first, later, cut}, [][]byte{tcp, ping, request}},
		{"ip6 proto 17", [][]byte{udp6, hop}, [][]byte{udp}},
		{"icmp", [][]byte{ping}, [][]byte{ping6, frame(over6, proto(1), payload(8, 0, 0, 0))}},
		{"icmp6", [][]byte{ping6}, [][]byte{ping, frame(proto(58), payload(135, 0, 0, 0))}},
		{"icmp type 8", [][]byte{ping}, [][]byte{udp, ping6, frame(proto(1), payload(0, 0, 0, 0)), frame(proto(1), payload(8))}},
		{"icmp6 type 133-137", [][]byte{ping6}, [][]byte{ping, frame(over6, proto(58), payload(138, 0, 0, 0))}},
		{"host 10.1.2.3", [][]byte{udp, tcp, double}, [][]byte{udp6, request}},
		{"src host 10.1.2.3", [][]byte{udp}, [][]byte{udp6}},
		{"dst host 10.1.2.3", nil, [][]byte{udp, udp6}},
		{"net 192.168.0.0/21", [][]byte{udp}, [][]byte{udp6}},
		{"net 192.168.6.0/24", nil, [][]byte{udp}},
		{"src and dst net 0.0.0.0/0", [][]byte{udp}, [][]byte{udp6, request}},
		{"src and dst net 10.0.0.0/8", nil, [][]byte{udp}},
		{"dst net 2001:db8:0:5::/64", [][]byte{udp6, hop}, [][]byte{udp, ping}},
		{"src net 2001:db8::/127", [][]byte{udp6}, nil},
		{"src net 2001:db8::2/127", nil, [][]byte{udp6}},
		{"port 53", [][]byte{udp, tcp, udp6, hop, double, first}, [][]byte{later, cut, ping, request}},
		{"tcp port 53", [][]byte{tcp}, [][]byte{udp}},
		{"src port 53", nil, [][]byte{udp}},
		{"ip6 dst port 53", [][]byte{udp6}, [][]byte{udp}},
		{"src portrange 4000-5000", [][]byte{udp}, nil},
		{"dst portrange 54-65535", nil, [][]byte{udp}},
		{"src and dst portrange 53-5000", [][]byte{udp}, nil},
		{"port 53 and not tcp", [][]byte{udp}, [][]byte{tcp, later}},
		{"not port 53", [][]byte{later, cut, ping, request, {1, 2, 3}}, [][]byte{udp}},
		{"tcp or arp", [][]byte{tcp, request}, [][]byte{udp}},
		{"", [][]byte{udp, request, {1, 2, 3}}, nil},
	} {
		e, err := match.Parse(c.expr)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range c.yes {
			if !e.Match(p) {
				t.Errorf("%s: should match packet %d: % x", c.expr, i, p)
			}
		}
		for i, p := range c.not {
			if e.Match(p) {
				t.Errorf("%s: should not match packet %d: % x", c.expr, i, p)
			}
		}
	}
}

func TestManagementIsWhatItsDocumentationLists(t *testing.T) {
	m := match.Management(2222)
	tcp := func(port uint16) func(*frames.Frame) {
		return func(f *frames.Frame) { f.Proto, f.DstPort = frames.ProtoTCP, port }
	}
	udpTo := func(port uint16) func(*frames.Frame) { return func(f *frames.Frame) { f.DstPort = port } }
	ether := func(typ uint16) func(*frames.Frame) {
		return func(f *frames.Frame) { *f = frames.Frame{EtherType: typ, Payload: make([]byte, 46)} }
	}
	icmp := func(p, typ uint8, more ...func(*frames.Frame)) []byte {
		return frame(append(more, proto(p), payload(typ, 0, 0, 0))...)
	}
	for name, p := range map[string][]byte{
		"ARP": frame(arp), "LACP": frame(ether(0x8809)), "802.1X": frame(ether(0x888e)), "LLDP": frame(ether(0x88cc)),
		"unreachable": icmp(1, 3), "time exceeded": icmp(1, 11), "parameter problem": icmp(1, 12),
		"too big": icmp(58, 2, over6), "router solicitation": icmp(58, 133, over6), "neighbour solicitation": icmp(58, 135, over6),
		"redirect": icmp(58, 137, over6), "multicast report": icmp(58, 143, over6), "IGMP": frame(proto(2), payload(0x22, 0, 0, 0)),
		"DHCP": frame(udpTo(67)), "DHCP reply": frame(udpTo(68)), "DHCPv6": frame(over6, udpTo(546)), "DHCPv6 server": frame(over6, udpTo(547)),
		"SSH": frame(tcp(22)), "SSH over IPv6 in a VLAN": frame(over6, tcp(22), tags(9)), "SSH elsewhere": frame(tcp(2222)),
		"SSH, the other way": frame(tcp(9), func(f *frames.Frame) { f.SrcPort = 22 }),
	} {
		if !m.Match(p) {
			t.Errorf("%s is not kept with the kernel", name)
		}
		if e := match.And(nil, match.Not(m)); e.Match(p) {
			t.Errorf("%s is taken", name)
		}
	}
	for name, p := range map[string][]byte{
		"DNS": frame(), "HTTP": frame(tcp(80)), "UDP port 22": frame(udpTo(22)), "ping": icmp(1, 8), "ping6": icmp(58, 128, over6), "IPv4 that says ICMPv6": icmp(58, 135),
	} {
		if m.Match(p) {
			t.Errorf("%s is kept with the kernel", name)
		}
	}
	if match.Management().Match(frame(tcp(2222))) {
		t.Error("port 2222 is kept without being named")
	}
}
