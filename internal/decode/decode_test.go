package decode

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xrx/internal/capture"
	"xrx/internal/frames"
	"xrx/internal/testnet"
)

var (
	a4, b4 = netip.MustParseAddrPort("10.0.0.1:4000"), netip.MustParseAddrPort("10.0.0.2:5201")
	a6, b6 = netip.MustParseAddrPort("[fd00::1]:4000"), netip.MustParseAddrPort("[2001:db8::2]:5201")
	macA   = []byte{2, 0, 0, 0, 0, 0x0a}
	macB   = []byte{2, 0, 0, 0, 0, 0x0b}
	at     = time.Date(2026, 11, 22, 18, 25, 1, 123456789, time.UTC)
)

func tcp(a, b netip.AddrPort, seq uint32, flags uint8, payload int, options ...byte) frames.Frame {
	f := frames.TCP(a, b, seq, make([]byte, payload))
	f.Flags, f.Window, f.TCPOptions, f.SrcMAC, f.DstMAC = flags, 501, options, macA, macB
	return f
}

func udp(a, b netip.AddrPort, payload int) frames.Frame {
	f := frames.UDP(a, b, make([]byte, payload))
	f.SrcMAC, f.DstMAC = macA, macB
	return f
}

// raw is an IP packet of another protocol.
func raw(a, b netip.AddrPort, proto uint8, payload ...byte) frames.Frame {
	return frames.Frame{SrcMAC: macA, DstMAC: macB, Src: a.Addr(), Dst: b.Addr(), Proto: proto, Payload: payload}
}

// inIP puts the IP packet of a frame into another IP header.
func inIP(a, b netip.AddrPort, inner frames.Frame) frames.Frame {
	proto := uint8(4)
	if inner.Src.Is6() {
		proto = 41
	}
	return raw(a, b, proto, inner.Append(nil)[14:]...)
}

func with(f frames.Frame, change func(*frames.Frame)) frames.Frame {
	change(&f)
	return f
}

// icmp makes a message with its checksum; ICMPv6 has a pseudo-header in it.
func icmp(a, b netip.AddrPort, m ...byte) frames.Frame {
	proto, pseudo := uint8(1), uint64(0)
	if a.Addr().Is6() {
		proto, pseudo = 58, frames.PseudoSum(a.Addr(), b.Addr(), 58, len(m))
	}
	sum := frames.Checksum(m, pseudo)
	m[2], m[3] = byte(sum>>8), byte(sum)
	return raw(a, b, proto, m...)
}

// quote is what an ICMP error carries of the packet that caused it.
func quote(f frames.Frame, head ...byte) []byte { return append(head, f.Append(nil)[14:14+28]...) }

func arp(op byte, target []byte) frames.Frame {
	m := []byte{0, 1, 8, 0, 6, 4, 0, op}
	m = append(append(m, macA...), 10, 0, 0, 1)
	m = append(append(m, target...), 10, 0, 0, 2)
	return frames.Frame{SrcMAC: macA, DstMAC: macB, EtherType: 0x0806, Payload: m}
}

// table has a packet of each kind. What we print is what tcpdump prints, unless own is set.
var table = []struct {
	name string
	f    frames.Frame
	cut  int // bytes kept; 0 = all
	csum Checksum
	line string // behind the time, in front of segs=
	own  bool
}{
	{"TCP data", tcp(a4, b4, 1000, 0x18, 1448, 1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9), 0, OK,
		"IP 10.0.0.1.4000 > 10.0.0.2.5201: Flags [P.], seq 1000:2448, ack 1, win 501, options [nop,nop,TS val 7 ecr 9], length 1448", false},
	{"TCP SYN with options", tcp(a4, b4, 5, 0x02, 0, 2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7), 0, OK,
		"IP 10.0.0.1.4000 > 10.0.0.2.5201: Flags [S], seq 5, win 501, options [mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7], length 0", false},
	{"TCP pure ACK with SACK", tcp(a4, b4, 5, 0x10, 0, 1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7, 0), 0, OK,
		"IP 10.0.0.1.4000 > 10.0.0.2.5201: Flags [.], ack 1, win 501, options [nop,nop,sack 2 {1:1280}{1536:1792}], length 0", false},
	{"TCP without flags", tcp(a4, b4, 5, 0, 0), 0, OK,
		"IP 10.0.0.1.4000 > 10.0.0.2.5201: Flags [none], win 501, length 0", false},
	{"TCP with all flags", with(tcp(a4, b4, 5, 0xff, 3), func(f *frames.Frame) { f.Urgent = 3 }), 0, OK,
		"IP 10.0.0.1.4000 > 10.0.0.2.5201: Flags [FSRP.UEW], seq 5:8, ack 1, win 501, urg 3, length 3", false},
	{"TCP FIN, sequence number wraps", tcp(a4, b4, 0xffffffff, 0x11, 2), 0, OK,
		"IP 10.0.0.1.4000 > 10.0.0.2.5201: Flags [F.], seq 4294967295:1, ack 1, win 501, length 2", false},
	{"TCP option unknown", tcp(a4, b4, 5, 0x10, 0, 99, 4, 0xab, 0xcd), 0, OK,
		"IP 10.0.0.1.4000 > 10.0.0.2.5201: Flags [.], ack 1, win 501, options [unknown-99 0xabcd], length 0", false},
	{"TCP option beyond the header", tcp(a4, b4, 5, 0x10, 0, 8, 40, 0, 0), 0, OK,
		"IP 10.0.0.1.4000 > 10.0.0.2.5201: Flags [.], ack 1, win 501, options [[bad opt]], length 0", true},
	{"TCP over IPv6", tcp(a6, b6, 7, 0x10, 100), 0, OK,
		"IP6 fd00::1.4000 > 2001:db8::2.5201: Flags [.], seq 7:107, ack 1, win 501, length 100", false},
	{"TCP, partial checksum", with(tcp(a4, b4, 5, 0x10, 9), func(f *frames.Frame) { f.PartialChecksum = true }), 0, Partial,
		"IP 10.0.0.1.4000 > 10.0.0.2.5201: Flags [.], seq 5:14, ack 1, win 501, length 9", false},
	{"TCP behind padding", with(tcp(a4, b4, 5, 0x10, 1), func(f *frames.Frame) { f.Pad = true }), 0, OK,
		"IP 10.0.0.1.4000 > 10.0.0.2.5201: Flags [.], seq 5:6, ack 1, win 501, length 1", false},
	{"TCP with IP options", with(tcp(a4, b4, 5, 0x10, 1), func(f *frames.Frame) { f.IPOptions = []byte{1, 1, 1, 0} }), 0, OK,
		"IP 10.0.0.1.4000 > 10.0.0.2.5201: Flags [.], seq 5:6, ack 1, win 501, length 1", false},
	{"TCP cut off in the payload", tcp(a4, b4, 5, 0x10, 1000), 96, NoSum,
		"IP 10.0.0.1.4000 > 10.0.0.2.5201: Flags [.], seq 5:1005, ack 1, win 501, length 1000", false},
	{"TCP cut off in the header", tcp(a4, b4, 5, 0x10, 1000), 44, NoSum, "IP 10.0.0.1.4000 > 10.0.0.2.5201: [|tcp]", true},
	{"UDP", udp(a4, b4, 5), 0, OK, "IP 10.0.0.1.4000 > 10.0.0.2.5201: UDP, length 5", false},
	{"UDP over IPv6", udp(a6, b6, 0), 0, OK, "IP6 fd00::1.4000 > 2001:db8::2.5201: UDP, length 0", false},
	{"UDP without checksum", with(udp(a4, b4, 5), func(f *frames.Frame) { f.NoChecksum = true }), 0, NoSum,
		"IP 10.0.0.1.4000 > 10.0.0.2.5201: UDP, length 5", false},
	{"one tag", with(udp(a4, b4, 5), func(f *frames.Frame) { f.VLANs = []frames.VLAN{{TCI: 0x6007}} }), 0, OK,
		"IP 10.0.0.1.4000 > 10.0.0.2.5201: UDP, length 5", false},
	{"two tags", with(tcp(a6, b6, 5, 0x10, 5), func(f *frames.Frame) { f.VLANs = []frames.VLAN{{TPID: 0x88a8, TCI: 7}, {TCI: 8}} }), 0, OK,
		"IP6 fd00::1.4000 > 2001:db8::2.5201: Flags [.], seq 5:10, ack 1, win 501, length 5", false},
	{"ICMP echo request", icmp(a4, b4, 8, 0, 0, 0, 0, 3, 0, 9, 1, 2, 3), 0, OK, "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 3, seq 9, length 11", false},
	{"ICMP echo reply", icmp(a4, b4, 0, 0, 0, 0, 0, 3, 0, 9), 0, OK, "IP 10.0.0.1 > 10.0.0.2: ICMP echo reply, id 3, seq 9, length 8", false},
	{"ICMP port unreachable", icmp(a4, b4, quote(udp(b4, a4, 9), 3, 3, 0, 0, 0, 0, 0, 0)...), 0, OK,
		"IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.1 udp port 4000 unreachable, length 36", false},
	{"ICMP host unreachable", icmp(a4, b4, quote(udp(b4, a4, 9), 3, 1, 0, 0, 0, 0, 0, 0)...), 0, OK,
		"IP 10.0.0.1 > 10.0.0.2: ICMP host 10.0.0.1 unreachable, length 36", false},
	{"ICMP too big", icmp(a4, b4, quote(udp(b4, a4, 9), 3, 4, 0, 0, 0, 0, 5, 0)...), 0, OK,
		"IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.1 unreachable - need to frag (mtu 1280), length 36", false},
	{"ICMP time exceeded", icmp(a4, b4, quote(udp(b4, a4, 9), 11, 0, 0, 0, 0, 0, 0, 0)...), 0, OK,
		"IP 10.0.0.1 > 10.0.0.2: ICMP time exceeded in-transit, length 36", false},
	{"ICMP with a wrong checksum", raw(a4, b4, 1, 8, 0, 1, 1, 0, 3, 0, 9), 0, Bad, "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 3, seq 9, length 8", false},
	{"ICMPv6 echo", icmp(a6, b6, 128, 0, 0, 0, 0, 3, 0, 9), 0, OK, "IP6 fd00::1 > 2001:db8::2: ICMP6, echo request, id 3, seq 9, length 8", false},
	{"ICMPv6 neighbour", icmp(a6, b6, append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, b6.Addr().AsSlice()...)...), 0, OK,
		"IP6 fd00::1 > 2001:db8::2: ICMP6, neighbor solicitation, who has 2001:db8::2, length 24", false},
	{"ICMPv6 router solicitation", icmp(a6, b6, 133, 0, 0, 0, 0, 0, 0, 0), 0, OK, "IP6 fd00::1 > 2001:db8::2: ICMP6, router solicitation, length 8", false},
	{"ARP request", arp(1, make([]byte, 6)), 0, NoSum, "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28", false},
	{"ARP request to one", arp(1, macB), 0, NoSum, "ARP, Request who-has 10.0.0.2 (02:00:00:00:00:0b) tell 10.0.0.1, length 28", false},
	{"ARP reply", arp(2, macB), 0, NoSum, "ARP, Reply 10.0.0.1 is-at 02:00:00:00:00:0a, length 28", false},
	{"first fragment", with(udp(a4, b4, 1472), func(f *frames.Frame) { f.Fragment, f.ID = 0x2000, 77 }), 0, NoSum,
		"IP 10.0.0.1.4000 > 10.0.0.2.5201: UDP, length 1472, frag id 77 offset 0+", true},
	{"last fragment", with(raw(a4, b4, 17, make([]byte, 100)...), func(f *frames.Frame) { f.Fragment, f.ID = 185, 77 }), 0, NoSum,
		"IP 10.0.0.1 > 10.0.0.2: udp, length 100, frag id 77 offset 1480", true},
	{"IPv6 fragment", with(raw(a6, b6, 17, make([]byte, 100)...), func(f *frames.Frame) {
		f.NoL4, f.Exts = true, []frames.Ext{{Type: 44, Body: []byte{0, 5, 0xa9, 0, 0, 0, 7}}}
	}), 0, NoSum, "IP6 fd00::1 > 2001:db8::2: udp, length 100, frag id 7 offset 1448+", true},
	{"IPv6 destination options", with(tcp(a6, b6, 7, 0x10, 5), func(f *frames.Frame) {
		f.Exts = []frames.Ext{{Type: 60, Body: []byte{0, 1, 4, 0, 0, 0, 0}}}
	}), 0, OK, "IP6 fd00::1.4000 > 2001:db8::2.5201: Flags [.], seq 7:12, ack 1, win 501, length 5", true},
	{"IPv4 in IPv4", inIP(a4, b4, tcp(b4, a4, 9, 0x10, 5)), 0, OK,
		"IP 10.0.0.1 > 10.0.0.2: IP 10.0.0.2.5201 > 10.0.0.1.4000: Flags [.], seq 9:14, ack 1, win 501, length 5", false},
	{"IPv6 in IPv4", inIP(a4, b4, udp(a6, b6, 5)), 0, OK, "IP 10.0.0.1 > 10.0.0.2: IP6 fd00::1.4000 > 2001:db8::2.5201: UDP, length 5", false},
	{"IPv4 in IPv6", inIP(a6, b6, udp(a4, b4, 5)), 0, OK, "IP6 fd00::1 > 2001:db8::2: IP 10.0.0.1.4000 > 10.0.0.2.5201: UDP, length 5", false},
	{"a tunnel with nothing in it", raw(a4, b4, 4, 1, 2, 3), 0, NoSum, "IP 10.0.0.1 > 10.0.0.2: ip-proto-4, length 3", true},
	{"GRE", raw(a4, b4, 47, 0, 0, 8, 0, 1), 0, NoSum, "IP 10.0.0.1 > 10.0.0.2: gre, length 5", true},
	{"another protocol", raw(a4, b4, 253, 1, 2, 3), 0, NoSum, "IP 10.0.0.1 > 10.0.0.2: ip-proto-253, length 3", true},
	{"another EtherType", frames.Frame{SrcMAC: macA, DstMAC: macB, EtherType: 0x88cc, Payload: make([]byte, 46)}, 0, NoSum, "ethertype 0x88cc, length 46", true},
	{"802.3", frames.Frame{SrcMAC: macA, DstMAC: macB, EtherType: 0x0026, Payload: make([]byte, 46)}, 0, NoSum, "802.3, length 46", true},
	{"less than an Ethernet header", udp(a4, b4, 5), 13, NoSum, "[|ether], length 47", true},
	{"less than an IP header", udp(a4, b4, 5), 30, NoSum, "IP [|ip], length 33", true},
}

// decoded returns a case's packet, its bytes and what the line is made of.
func decoded(i int) (*Packet, *Info, []byte) {
	c := &table[i]
	whole := c.f.Append(nil)
	kept := whole
	info := &Info{Time: at, Queue: 3, Hash: 77, Segs: 1}
	if c.cut > 0 {
		kept, info.Captured = whole[:c.cut], c.cut
	}
	p := new(Packet)
	p.Decode(kept, len(whole))
	info.Checksum = p.Verify()
	return p, info, kept
}

func TestLinesAreThoseOfTcpdumpUsers(t *testing.T) {
	for i, c := range table {
		p, info, _ := decoded(i)
		line := string(p.AppendLine(nil, info, false))
		want := "18:25:01.123456 " + c.line + " segs=1 gso=0"
		if c.csum == Bad || c.csum == Partial {
			want += " csum=" + string(c.csum)
		}
		if line != want+"\n" {
			t.Errorf("%s:\n got %s want %s", c.name, line, want)
		}
		if info.Checksum != c.csum {
			t.Errorf("%s: checksum %s, want %s", c.name, info.Checksum, c.csum)
		}
	}
}

func TestTcpdumpPrintsTheSame(t *testing.T) {
	testnet.Require(t, "cmd:tcpdump")
	for _, c := range []struct {
		flags []string
		link  bool
	}{{[]string{"-n", "-S", "-t"}, false}, {[]string{"-n", "-S", "-t", "-e"}, true}} {
		path := filepath.Join(t.TempDir(), "table.pcapng")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		w, err := capture.NewWriter(f, capture.Info{})
		if err != nil {
			t.Fatal(err)
		}
		var want, names []string
		for i, c2 := range table {
			if c2.own {
				continue
			}
			p, info, kept := decoded(i)
			if err := w.Write(at, kept, p.Length, 0, capture.Merged{}); err != nil {
				t.Fatal(err)
			}
			line := string(p.AppendLine(nil, info, c.link))
			line = strings.TrimPrefix(line[:strings.Index(line, " segs=")], "18:25:01.123456 ")
			want, names = append(want, line), append(names, c2.name)
		}
		if err := w.Close(capture.Statistics{Began: at, Ended: at}); err != nil {
			t.Fatal(err)
		}
		f.Close()
		out, err := exec.Command("tcpdump", append(c.flags, "-r", path)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Split(strings.TrimSpace(string(out)), "\n")
		if len(got) != len(want) {
			t.Fatalf("tcpdump printed %d lines for %d packets", len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s:\n tcpdump %s\n ours    %s", names[i], got[i], want[i])
			}
		}
	}
}

// row is a JSON line as a program reads it.
type row struct {
	TS       json.Number
	Queue    int
	Hash     *uint32
	VLAN     *int
	Inner    *int `json:"vlan_inner"`
	Proto    string
	Src      *string
	Sport    *int
	Dst      *string
	Dport    *int
	Seq, Ack *uint32
	Flags    *string
	Len      int
	Payload  int
	Segs     int
	GSOSize  int `json:"gso_size"`
	Csum     string
	Tunnel   *struct{ Src, Dst string }
	Captured *int
}

func TestJSONSaysWhatIsThereAndNullForTheRest(t *testing.T) {
	head := `{"ts":1795371901.123456789,"queue":3,"hash":77,`
	for name, want := range map[string]string{
		"TCP data":                     `"vlan":null,"proto":"tcp4","src":"10.0.0.1","sport":4000,"dst":"10.0.0.2","dport":5201,"seq":1000,"ack":1,"flags":"P.","len":1514,"payload":1448,"segs":1,"gso_size":0,"csum":"ok"}`,
		"TCP over IPv6":                `"vlan":null,"proto":"tcp6","src":"fd00::1","sport":4000,"dst":"2001:db8::2","dport":5201,"seq":7,"ack":1,"flags":".","len":174,"payload":100,"segs":1,"gso_size":0,"csum":"ok"}`,
		"TCP SYN with options":         `"vlan":null,"proto":"tcp4","src":"10.0.0.1","sport":4000,"dst":"10.0.0.2","dport":5201,"seq":5,"ack":null,"flags":"S","len":74,"payload":0,"segs":1,"gso_size":0,"csum":"ok"}`,
		"TCP cut off in the payload":   `"vlan":null,"proto":"tcp4","src":"10.0.0.1","sport":4000,"dst":"10.0.0.2","dport":5201,"seq":5,"ack":1,"flags":".","len":1054,"payload":1000,"segs":1,"gso_size":0,"csum":"none","captured":96}`,
		"UDP":                          `"vlan":null,"proto":"udp4","src":"10.0.0.1","sport":4000,"dst":"10.0.0.2","dport":5201,"seq":null,"ack":null,"flags":null,"len":47,"payload":5,"segs":1,"gso_size":0,"csum":"ok"}`,
		"UDP without checksum":         `"vlan":null,"proto":"udp4","src":"10.0.0.1","sport":4000,"dst":"10.0.0.2","dport":5201,"seq":null,"ack":null,"flags":null,"len":47,"payload":5,"segs":1,"gso_size":0,"csum":"none"}`,
		"two tags":                     `"vlan":7,"vlan_inner":8,"proto":"tcp6","src":"fd00::1","sport":4000,"dst":"2001:db8::2","dport":5201,"seq":5,"ack":1,"flags":".","len":87,"payload":5,"segs":1,"gso_size":0,"csum":"ok"}`,
		"ICMP echo request":            `"vlan":null,"proto":"icmp4","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":null,"seq":null,"ack":null,"flags":null,"len":45,"payload":11,"segs":1,"gso_size":0,"csum":"ok"}`,
		"ICMPv6 echo":                  `"vlan":null,"proto":"icmp6","src":"fd00::1","sport":null,"dst":"2001:db8::2","dport":null,"seq":null,"ack":null,"flags":null,"len":62,"payload":8,"segs":1,"gso_size":0,"csum":"ok"}`,
		"ARP request":                  `"vlan":null,"proto":"arp","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":null,"seq":null,"ack":null,"flags":null,"len":42,"payload":28,"segs":1,"gso_size":0,"csum":"none"}`,
		"last fragment":                `"vlan":null,"proto":"udp4","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":null,"seq":null,"ack":null,"flags":null,"len":134,"payload":100,"segs":1,"gso_size":0,"csum":"none"}`,
		"IPv6 in IPv4":                 `"vlan":null,"proto":"udp6","src":"fd00::1","sport":4000,"dst":"2001:db8::2","dport":5201,"seq":null,"ack":null,"flags":null,"len":87,"payload":5,"segs":1,"gso_size":0,"csum":"ok","tunnel":{"src":"10.0.0.1","dst":"10.0.0.2"}}`,
		"GRE":                          `"vlan":null,"proto":"gre4","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":null,"seq":null,"ack":null,"flags":null,"len":39,"payload":5,"segs":1,"gso_size":0,"csum":"none"}`,
		"another protocol":             `"vlan":null,"proto":"ip253-4","src":"10.0.0.1","sport":null,"dst":"10.0.0.2","dport":null,"seq":null,"ack":null,"flags":null,"len":37,"payload":3,"segs":1,"gso_size":0,"csum":"none"}`,
		"another EtherType":            `"vlan":null,"proto":"0x88cc","src":null,"sport":null,"dst":null,"dport":null,"seq":null,"ack":null,"flags":null,"len":60,"payload":46,"segs":1,"gso_size":0,"csum":"none"}`,
		"less than an Ethernet header": `"vlan":null,"proto":"short","src":null,"sport":null,"dst":null,"dport":null,"seq":null,"ack":null,"flags":null,"len":47,"payload":0,"segs":1,"gso_size":0,"csum":"none","captured":13}`,
	} {
		found := false
		for i := range table {
			if table[i].name != name {
				continue
			}
			found = true
			p, info, _ := decoded(i)
			if got := string(p.AppendJSON(nil, info)); got != head+want+"\n" {
				t.Errorf("%s:\n got %s want %s", name, got, head+want)
			}
		}
		if !found {
			t.Errorf("no packet %q", name)
		}
	}
	for i, c := range table { // and all of them are JSON, with nothing else in it
		p, info, _ := decoded(i)
		info.Hash = 0
		d := json.NewDecoder(strings.NewReader(string(p.AppendJSON(nil, info))))
		d.DisallowUnknownFields()
		var r row
		if err := d.Decode(&r); err != nil || r.Hash != nil || r.Segs != 1 || r.Csum != string(c.csum) {
			t.Errorf("%s: %+v, %v", c.name, r, err)
		}
	}
}

func TestNothingIsAllocatedWithRoomInTheBuffer(t *testing.T) {
	b := make([]byte, 0, 4096)
	var p Packet
	for i := range table {
		_, info, kept := decoded(i)
		if n := testing.AllocsPerRun(10, func() {
			p.Decode(kept, len(kept))
			b = p.AppendLine(b[:0], info, true)
			b = p.AppendJSON(b[:0], info)
		}); n != 0 {
			t.Errorf("%s: %v allocations", table[i].name, n)
		}
	}
}

// FuzzDecode: any bytes, of any claimed length, decode to one line and one JSON object without a panic.
func FuzzDecode(f *testing.F) {
	for i := range table {
		p, _, kept := decoded(i)
		f.Add(kept, p.Length)
	}
	f.Fuzz(func(t *testing.T, b []byte, length int) {
		var p Packet
		p.Decode(b, length)
		info := &Info{Time: at, Segs: 2, GSOSize: 3, Checksum: p.Verify()}
		for _, link := range []bool{false, true} {
			if line := p.AppendLine(nil, info, link); line[len(line)-1] != '\n' || strings.Count(string(line), "\n") != 1 {
				t.Fatalf("not one line: %q", line)
			}
		}
		var r row
		if err := json.Unmarshal(p.AppendJSON(nil, info), &r); err != nil {
			t.Fatal(err)
		}
		if r.Payload < 0 || r.Len < len(b) {
			t.Fatalf("%d bytes: payload %d of %d", len(b), r.Payload, r.Len)
		}
	})
}
