package bpf_test

import (
	"encoding/binary"
	"testing"

	"xrx/bpf"
	"xrx/internal/testnet"
	"xrx/umem"
)

// TestHintsOfTheNICGoBeforeOurOwn plays drivers that answer this or that.
func TestHintsOfTheNICGoBeforeOurOwn(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	const (
		ts       = 0x1122334455667788
		hash     = 0xcafef00d
		enodata  = -61
		rssL3v4  = 1
		rssL4UDP = 1 | 8 | 32
		qTag     = 0x0081 // 0x8100 in network order
		adTag    = 0xa888
	)
	silent := bpf.NIC{TimestampErr: enodata, HashErr: enodata, TagErr: enodata}
	with := func(change func(*bpf.NIC)) bpf.NIC {
		n := silent
		change(&n)
		return n
	}
	hashed := func(rss uint32) bpf.NIC {
		return with(func(n *bpf.NIC) { n.HashErr, n.Hash, n.RSSType = 0, hash, rss })
	}
	tagged := func(tpid uint16) bpf.NIC {
		return with(func(n *bpf.NIC) { n.TagErr, n.TPID, n.TCI = 0, tpid, 0x6005 })
	}
	udp := ipv4()
	tests := []struct {
		name   string
		nic    bpf.NIC
		opts   bpf.Options
		packet []byte
		change func(*umem.Meta) // what differs from the plain program's
	}{
		{"a silent NIC changes nothing", silent, bpf.Options{HWHash: true}, udp, func(*umem.Meta) {}},
		{"a kernel without the kfuncs changes nothing", bpf.NIC{None: true, Timestamp: ts, Hash: hash, RSSType: rssL4UDP, TPID: qTag}, bpf.Options{HWHash: true}, udp, func(*umem.Meta) {}},
		{"a timestamp makes it kind 2", with(func(n *bpf.NIC) { n.TimestampErr, n.Timestamp = 0, ts }), bpf.Options{}, udp, func(m *umem.Meta) { m.Kind, m.Timestamp = 2, ts }},
		{"a timestamp of the low half only", with(func(n *bpf.NIC) { n.TimestampErr, n.Timestamp = 0, 5 }), bpf.Options{}, udp, func(m *umem.Meta) { m.Kind, m.Timestamp = 2, 5 }},
		{"a timestamp of the high half only", with(func(n *bpf.NIC) { n.TimestampErr, n.Timestamp = 0, 1<<32 }), bpf.Options{}, udp, func(m *umem.Meta) { m.Kind, m.Timestamp = 2, 1<<32 }},
		{"timestamp 0 is none", with(func(n *bpf.NIC) { n.TimestampErr = 0 }), bpf.Options{}, udp, func(*umem.Meta) {}},
		{"an L4 hash", hashed(rssL4UDP), bpf.Options{HWHash: true}, udp, func(m *umem.Meta) { m.Hash, m.Flags = hash, umem.HashHW|umem.HashL4 }},
		{"an L3 hash covers no ports", hashed(rssL3v4), bpf.Options{HWHash: true}, udp, func(m *umem.Meta) { m.Hash, m.Flags = hash, umem.HashHW }},
		{"an L4 hash of what we find no ports in", hashed(8), bpf.Options{HWHash: true}, ipv4(proto(50)), func(m *umem.Meta) { m.Hash, m.Flags = hash, umem.HashHW|umem.HashL4 }},
		{"the NIC's hash isn't symmetric", hashed(rssL4UDP), bpf.Options{HWHash: true, Symmetric: true}, udp, func(m *umem.Meta) { m.Hash, m.Flags = hash, umem.HashHW|umem.HashL4 }},
		{"a hash not asked for", hashed(rssL4UDP), bpf.Options{}, udp, func(*umem.Meta) {}},
		{"a hash of no type is none", hashed(0), bpf.Options{HWHash: true}, udp, func(*umem.Meta) {}},
		{"hash 0 is none", with(func(n *bpf.NIC) { n.HashErr, n.RSSType = 0, rssL4UDP }), bpf.Options{HWHash: true}, udp, func(*umem.Meta) {}},
		{"a tag taken off", tagged(qTag), bpf.Options{}, udp, func(m *umem.Meta) { m.VLANTCI, m.Flags = 0x6005, m.Flags|umem.VLANHW }},
		{"an 802.1ad tag taken off", tagged(adTag), bpf.Options{}, udp, func(m *umem.Meta) { m.VLANTCI, m.Flags = 0x6005, m.Flags|umem.VLANHW|umem.VLANAD }},
		{"a tag taken off was in front of the one in the packet", tagged(adTag), bpf.Options{}, vlan(0x8100, 9, udp), func(m *umem.Meta) {
			m.VLANTCI, m.Flags = 0x6005, m.Flags|umem.VLANHW|umem.VLANAD
		}},
		{"802.1Q in front of 802.1ad", tagged(qTag), bpf.Options{}, vlan(0x88a8, 9, udp), func(m *umem.Meta) {
			m.VLANTCI, m.Flags = 0x6005, m.Flags&^umem.VLANAD|umem.VLANHW
		}},
		{"everything at once", bpf.NIC{Timestamp: ts, Hash: hash, RSSType: rssL4UDP, TPID: qTag, TCI: 1}, bpf.Options{HWHash: true}, udp, func(m *umem.Meta) {
			*m = umem.Meta{Timestamp: ts, Hash: hash, VLANTCI: 1, Flags: umem.HashHW | umem.HashL4 | umem.VLANHW, Kind: 2, L3: 4, L3Off: 14, L4Off: 34, L4Proto: 17}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.opts.HWMeta, test.opts.IfIndex = true, 1
			p, err := bpf.LoadFaked(test.opts, test.nic)
			must(t, err)
			t.Cleanup(func() { must(t, p.Close()) })
			register(t, p)
			verdict, b := run(t, p.Prog(), test.packet)
			if verdict != xdpRedirect {
				t.Errorf("verdict %d, want redirect", verdict)
			}
			want := expect(test.packet, test.opts.Symmetric, 0).meta
			test.change(&want)
			var got umem.Meta
			if want.Kind == 2 {
				if len(b) != 20 || b[19] != 0x25 {
					t.Fatalf("metadata % x is not kind 2", b)
				}
				stamp := binary.LittleEndian.Uint64(b)
				b = append(b[8:19:19], 0x13)
				got = decode(t, b)
				got.Kind, got.Timestamp = 2, stamp
			} else {
				got = decode(t, b)
			}
			if got != want {
				t.Errorf("metadata\n%+v, want\n%+v", got, want)
			}
		})
	}
}
