package steering

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"xrx/internal/testnet"
)

func TestRulesAreReadAndWrittenAlike(t *testing.T) {
	for text, want := range map[string]string{
		"tcp dst-port 443 queue 2":                                        "tcp4 dst-port 443 queue 2",
		"udp6 src-ip 2001:db8::1/32 drop loc 5":                           "udp6 src-ip 2001:db8::/32 drop loc 5",
		"tcp src-ip ::1 queue 0":                                          "tcp6 src-ip ::1/128 queue 0",
		"ip src-ip 10.1.2.3/8 dst-ip 192.0.2.1 proto 47 tos 0x10 queue 1": "ip4 src-ip 10.0.0.0/8 dst-ip 192.0.2.1/32 proto 47 tos 0x10 queue 1",
		"ether type 0x88cc src-mac 02:00:00:00:00:01 queue 3":             "ether type 0x88cc src-mac 02:00:00:00:00:01 queue 3",
		"sctp4 src-port 0 vlan 7 dst-mac 02:00:00:00:00:02 queue 1":       "sctp4 src-port 0 dst-mac 02:00:00:00:00:02 vlan 7 queue 1",
	} {
		r, err := ParseRule(text)
		if err != nil || r.String() != want {
			t.Errorf("%s: %s, %v, want %s", text, r, err, want)
			continue
		}
		if r.Location < 0 {
			r.Location = 9
		}
		if got := FromSpec(r.Spec()); !reflect.DeepEqual(got, r) {
			t.Errorf("%s: came back as %+v, was %+v", text, got, r)
		}
	}
}

func TestRulesThatCanNotBeMeantAreRefusedInWords(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "empty",
		"tcp":                                "either queue N or drop",
		"tcp queue 1 drop":                   "either queue N or drop",
		"icmp queue 1":                       "want tcp, udp",
		"tcp dst-port 70000 queue 1":         "below 65536",
		"tcp dst-port":                       "want a value",
		"tcp port 5 queue 1":                 "want queue, drop",
		"ip dst-port 5 queue 1":              "has no ports",
		"tcp4 src-ip ::1 queue 1":            "IPv4 and of IPv6",
		"tcp src-ip ::1 dst-ip 1.2.3.4 drop": "IPv4 and of IPv6",
		"ether src-ip 1.2.3.4 drop":          "ether rules have",
		"tcp type 5 drop":                    "for ether rules",
		"tcp proto 5 drop":                   "for ip rules",
		"tcp src-ip x drop":                  "an address",
		"tcp src-mac 1:2 drop":               "a MAC address",
	} {
		if r, err := ParseRule(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %q", text, r, err, want)
		}
	}
}

// Laid out by hand, from the structures of include/uapi/linux/ethtool.h at v6.18.
func TestTheStructureIsThatOfTheKernel(t *testing.T) {
	r, err := ParseRule("tcp4 src-ip 10.0.0.0/8 dst-port 443 vlan 5 queue 2 loc 3")
	if err != nil {
		t.Fatal(err)
	}
	s := r.Spec()
	want := Spec{}
	native.PutUint32(want[0:], 0x80000001)  // TCP_V4_FLOW | FLOW_EXT
	copy(want[4:], []byte{10, 0, 0, 0})     // h_u.tcp_ip4_spec.ip4src
	copy(want[4+10:], []byte{0x01, 0xbb})   // pdst
	copy(want[56+10:], []byte{0, 5})        // h_ext.vlan_tci
	copy(want[76:], []byte{0xff, 0, 0, 0})  // m_u
	copy(want[76+10:], []byte{0xff, 0xff})  // m_u pdst
	copy(want[128+10:], []byte{0x0f, 0xff}) // m_ext.vlan_tci
	native.PutUint64(want[152:], 2)         // ring_cookie
	native.PutUint32(want[160:], 3)         // location
	if s != want {
		t.Errorf("%x\nwant %x", s, want)
	}
}

// Random bytes, as a driver may tell of rules that somebody else made: read without harm; and what is not called strange
// has everything, so that writing it back is the same rule.
func TestWhatIsNotStrangeComesBackTheSame(t *testing.T) {
	rng := rand.New(rand.NewPCG(testnet.Seed(t), 1))
	strange, plain := 0, 0
	for range 20000 {
		var s Spec
		flows := []uint32{1, 2, 3, 5, 6, 7, 0x0d, 0x0e, 0x12, 0x09, 99}
		native.PutUint32(s[:], flows[rng.IntN(len(flows))]|uint32(rng.IntN(2))<<31|uint32(rng.IntN(2))<<30)
		for range rng.IntN(6) {
			at, b := rng.IntN(72), []byte{0xff, 0xff, 0xf0, 0x0f}[rng.IntN(4)]
			s[specMask+at] = b
			s[specValue+at] = byte(rng.Uint32())
		}
		native.PutUint64(s[specCookie:], []uint64{0, 3, cookieDrop, cookieWake, 1<<32 | 2}[rng.IntN(5)])
		r := FromSpec(s)
		if _ = r.String(); r.Strange {
			strange++
			continue
		}
		plain++
		again := r.Spec()
		if got, want := again[specMask:specMask+72], s[specMask:specMask+72]; !slices.Equal(got, want) {
			t.Fatalf("%s\n%x came back as\n%x", r, want, got)
		}
		for i := range 72 {
			if m := s[specMask+i]; again[specValue+i]&m != s[specValue+i]&m {
				t.Fatalf("%s: byte %d", r, i)
			}
		}
		if FromSpec(again).String() != r.String() {
			t.Fatalf("%s: %s", r, FromSpec(again))
		}
	}
	if strange < 1000 || plain < 1000 {
		t.Errorf("%d strange, %d plain", strange, plain)
	}
}

func TestTablesSpreadAsAsked(t *testing.T) {
	for _, c := range []struct {
		spec          string
		entries, most int
		want          string
	}{
		{"equal=2", 6, 4, "[0 1 0 1 0 1]"},
		{"0,2", 5, 4, "[0 2 0 2 0]"},
		{"3", 3, 4, "[3 3 3]"},
		{"weights=1,0,2", 6, 4, "[0 0 2 2 2 2]"},
		{"weights=1,1,1", 4, 4, "[0 1 2 2]"},
		{"equal=5", 8, 4, "1 to 4"},
		{"equal=0", 8, 4, "1 to 4"},
		{"0,4", 8, 4, "no rx queue 4"},
		{"weights=0", 8, 4, "not all 0"},
		{"weights=1,1,1,1,1", 8, 4, "4 rx queues"},
		{"fast", 8, 4, "want equal=N"},
		{"fast=1", 8, 4, "want equal=N"},
		{"0,1,2", 2, 4, "table of 2"},
		{"equal=2", 0, 4, "no RSS table"},
	} {
		table, err := Table(c.spec, c.entries, c.most)
		if got := fmt.Sprint(table, err); !strings.Contains(got, c.want) || (err == nil) != strings.HasPrefix(c.want, "[") {
			t.Errorf("%s of %d: %s, want %s", c.spec, c.entries, got, c.want)
		}
	}
}

func TestWhatIsSteeredPastTheBoundQueuesIsTold(t *testing.T) {
	rule := func(text string, loc int) Rule {
		r, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		r.Location = loc
		return r
	}
	four := []int{0, 1, 2, 3}
	vf := rule("udp queue 2", 8)
	vf.VF = 1
	for _, c := range []struct {
		name   string
		tables Tables
		bound  []int
		want   []string // a part of each warning
	}{
		{"all bound", Tables{Queues: 4, RSS: four, Rules: []Rule{rule("tcp queue 3", 1)}}, four, nil},
		{"no table, all bound", Tables{Queues: 4}, four, nil},
		{"no table, two bound", Tables{Queues: 4}, []int{0, 2}, []string{"2 of 4 rx queues are not bound"}},
		{"a table within the bound", Tables{Queues: 4, RSS: []int{0, 1, 0, 1}}, []int{0, 1}, nil},
		{"a table beyond the bound", Tables{Interface: "eth1", Queues: 4, RSS: []int{3, 0, 1, 2, 0, 3, 3, 3}}, []int{0, 1}, []string{"to queue 2,3 as well (5 of 8 entries of its table), not bound: those packets go to the kernel, not to xrx; bind all (--queues all), or: xrx steer eth1 --rss 0,1"}},
		{"a rule beyond the bound", Tables{Interface: "eth1", Queues: 4, RSS: []int{0, 0}, Rules: []Rule{rule("tcp dst-port 443 queue 2", 15), rule("udp drop", 3), rule("udp queue 0", 4), vf}}, []int{0},
			[]string{"flow rule 15 (tcp4 dst-port 443 queue 2 loc 15) leads to queue 2, not bound: its packets go to the kernel, not to xrx; bind it (--queues), or: xrx steer eth1 --delete-rule 15"}},
		{"many rules", Tables{Queues: 4, RSS: []int{0}, Rules: slices.Repeat([]Rule{rule("tcp queue 2", 1)}, 7)}, []int{0}, []string{"flow rule 1", "flow rule 1", "flow rule 1", "flow rule 1", "and 3 more flow rules"}},
	} {
		got := c.tables.Unbound(c.bound)
		if len(got) != len(c.want) {
			t.Errorf("%s: %q, want %d warnings", c.name, got, len(c.want))
			continue
		}
		for i, w := range c.want {
			if !strings.Contains(got[i], w) {
				t.Errorf("%s: %q, want %q in it", c.name, got[i], w)
			}
		}
	}
}
