package flows_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"xrx"
	"xrx/consume/flows"
	"xrx/gro"
	"xrx/internal/consumertest"
	"xrx/internal/frames"
	"xrx/internal/testnet"
)

// sent is what a flow really was.
type sent struct {
	flows.Counts
	flags flows.Flags
}

type name struct {
	src, dst netip.AddrPort
	proto    flows.Proto
}

// traffic makes TCP and UDP flows; some TCP segments are sent twice, some in the wrong order.
func traffic(t *testing.T, g *consumertest.Rig) (list [][]byte, want map[name]*sent) {
	r := rand.New(rand.NewPCG(testnet.Seed(t), 3))
	want = map[name]*sent{}
	put := func(n name, f frames.Frame) {
		if w := want[n]; w != nil {
			f.ID = uint16(w.Packets) // GRO looks at it
		}
		b := g.Frame(f)
		list = append(list, b)
		if want[n] == nil {
			want[n] = &sent{}
		}
		want[n].Packets++
		want[n].Bytes += uint64(len(b))
		want[n].flags |= flows.Flags(f.Flags)
	}
	for i := range 40 {
		v6 := i%2 == 1
		src, dst := g.From(v6, 2000+i), g.To(v6, 5201)
		if i%4 == 3 {
			for range 20 {
				put(name{src, dst, 17}, frames.UDP(src, dst, make([]byte, 10+r.IntN(1000))))
			}
			continue
		}
		n, seq := name{src, dst, 6}, r.Uint32()
		segment := func(k uint32, flags uint8) {
			f := frames.TCP(src, dst, seq+1+k*1000, binary.BigEndian.AppendUint32(make([]byte, 996), k))
			f.Flags = flags
			put(n, f)
		}
		first := frames.TCP(src, dst, seq, nil)
		first.Flags = frames.SYN
		put(n, first)
		const segments = 120
		for k := uint32(0); k < segments; k++ {
			switch {
			case k > 10 && r.IntN(20) == 0: // again, one of the last ten
				segment(k-uint32(1+r.IntN(9)), frames.ACK)
				want[n].Retransmits++
				want[n].RetransmitBytes += 1000
				segment(k, frames.ACK)
			case k < segments-2 && r.IntN(20) == 0: // the wrong order
				segment(k+1, frames.ACK)
				segment(k, frames.ACK)
				want[n].Late++
				k++
			default:
				segment(k, frames.ACK)
			}
		}
		segment(segments, frames.ACK|frames.FIN)
	}
	return list, want
}

func TestTheTableSaysWhatWasSentAndWhatWasSentAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		cfg    xrx.Config
		queues int
	}{
		{"as it comes", xrx.Config{}, 1},
		{"merged", xrx.Config{GRO: &gro.Config{Flush: 2e6}}, 1},
		{"two queues", xrx.Config{GRO: &gro.Config{}}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Frames = 8192
			g := consumertest.New(t, &c.cfg, testnet.Options{Queues: c.queues})
			table, err := flows.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			list, want := traffic(t, g)
			g.Consume(xrx.BatchHandler(table.Take))
			g.Send(list, g.Received)
			// Records while it runs, too: they must add up all the same.
			got := map[name]*sent{}
			add := func(r *flows.Record) {
				n := name{r.Src, r.Dst, r.Proto}
				if got[n] == nil {
					got[n] = &sent{}
				}
				c := &got[n].Counts
				*c = flows.Counts{Packets: c.Packets + r.Packets, Bytes: c.Bytes + r.Bytes, Retransmits: c.Retransmits + r.Retransmits,
					RetransmitBytes: c.RetransmitBytes + r.RetransmitBytes, Late: c.Late + r.Late}
				got[n].flags |= r.Flags
				if time.Since(r.First) > time.Minute || r.Last.Before(r.First) {
					t.Errorf("from %v to %v", r.First, r.Last)
				}
			}
			table.Active(add)
			consumertest.Eventually(t, "everything is received", func() bool { return g.Received() >= uint64(len(list)) })
			table.Active(add)
			g.Stop()
			top := table.Top(1000, flows.Retransmits)
			table.Flush(add)
			for n, w := range want {
				if got[n] == nil || *got[n] != *w {
					t.Errorf("%v: %+v, want %+v", n, got[n], *w)
				}
			}
			for i := range top {
				w := want[name{top[i].Src, top[i].Dst, top[i].Proto}]
				if w != nil && top[i].Counts != w.Counts {
					t.Errorf("top %+v, want %+v", top[i], *w)
				}
				if i > 0 && top[i].Retransmits > top[i-1].Retransmits {
					t.Errorf("place %d has more retransmits than the one before", i)
				}
			}
			if s := table.Stats(); s.Packets != g.Received() || s.Evicted != 0 || s.Unreported != 0 || s.Malformed != 0 || s.Flows != 0 {
				t.Errorf("%+v; %d received", s, g.Received())
			}
		})
	}
}

func TestTheExamplesReport(t *testing.T) {
	frame := func(n *testnet.Net) frames.Frame {
		return frames.UDP(netip.AddrPortFrom(n.A.IP4, 7), netip.AddrPortFrom(n.B.IP4, 9), []byte("hello, world and more"))
	}
	for want, example := range map[string]func(){":7 > ": Example, `"sport":7,`: ExampleTable_Ended} {
		consumertest.Example(t, example, want, frame)
	}
}
