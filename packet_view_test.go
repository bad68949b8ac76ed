package xrx

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"xrx/gro"
	"xrx/internal/frames"
	"xrx/umem"
)

// bench is a queue without a socket: frames are filled here, merged by its engine, and handed out as packets.
type bench struct {
	t testing.TB
	q *Queue
}

func newBench(t testing.TB, cfg gro.Config) *bench {
	t.Helper()
	mem, err := umem.New(umem.Config{Frames: 256})
	if err != nil {
		t.Fatal(err)
	}
	pools, err := mem.Split(1)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := gro.New(pools[0], cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t, &Queue{mem: mem, pool: pools[0], gro: engine, packetOffset: mem.PacketOffset()}}
	t.Cleanup(func() {
		if l := b.q.pool.Audit(); l.Free != l.Total {
			t.Errorf("ledger: %v", l)
		}
		if err := mem.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// receive puts one wire packet into frames of at most size bytes, as a ring with XDP_PKT_CONTD brings it.
func (b *bench) receive(wire []byte, size int) (head *umem.Header) {
	b.t.Helper()
	for len(wire) > 0 {
		var slot [1]uint64
		if b.q.pool.Fill(slot[:]) != 1 {
			b.t.Fatal("no frame left")
		}
		n, at := min(len(wire), size), slot[0]+uint64(b.q.packetOffset)
		copy(b.q.mem.Memory()[at:], wire[:n])
		h, fault := b.q.pool.Receive(at, uint32(n))
		if fault != umem.NoFault {
			b.t.Fatal(fault)
		}
		wire = wire[n:]
		head = b.q.assemble(h, len(wire) > 0)
	}
	return head
}

// merged gives wire packets to the engine as one poll and returns the one packet that comes out.
func (b *bench) merged(wire [][]byte, size int) Packet {
	b.t.Helper()
	var in []*umem.Header
	for _, w := range wire {
		in = append(in, b.receive(w, size))
	}
	b.q.gro.Receive(in)
	b.q.gro.EndPoll(0, false)
	out := b.q.gro.Out()
	if len(out) != 1 {
		b.t.Fatalf("%d packets came out, want 1", len(out))
	}
	b.q.pool.Deliver(out[0])
	p := Packet{out[0], b.q, out[0].Gen()}
	b.q.gro.ResetOut()
	return p
}

// flow makes count wire packets of one flow that can be merged; push is ORed into the last one's TCP flags.
func flow(f frames.Frame, count, size int, push uint8) (wire [][]byte) {
	payload := make([]byte, size)
	for i := range count {
		for j := range payload {
			payload[j] = byte(i*31 + j*7)
		}
		f.Payload = payload
		if i == count-1 {
			f.Payload = payload[:size/2+1]
			f.Flags |= push
		}
		wire = append(wire, f.Append(nil))
		f.Seq += uint32(size)
		f.ID++
	}
	return wire
}

var (
	v4a, v4b = netip.MustParseAddrPort("10.0.0.1:4000"), netip.MustParseAddrPort("10.0.0.2:5201")
	v6a, v6b = netip.MustParseAddrPort("[fd00::1]:4000"), netip.MustParseAddrPort("[fd00::2]:5201")
)

func TestMergedPacketsAreSeenWholeInPiecesAndAsTheWirePacketsTheyWere(t *testing.T) {
	tagged := frames.TCP(v6a, v6b, 1<<32-1000, nil)
	tagged.VLANs = []frames.VLAN{{TPID: frames.TypeQinQ, TCI: 7}, {TCI: 8}}
	stamped := frames.TCP(v4a, v4b, 1, nil)
	stamped.TCPOptions = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}
	udp := gro.Config{UDPPorts: []uint16{5201}}
	for _, c := range []struct {
		name  string
		cfg   gro.Config
		f     frames.Frame
		count int
		size  int // payload
		chunk int // bytes per frame
		list  bool
	}{
		{"a packet that is alone", gro.Config{}, frames.TCP(v4a, v4b, 1, nil), 1, 1448, 1500, false},
		{"TCP over IPv4", gro.Config{}, frames.TCP(v4a, v4b, 1, nil), 20, 1448, 1514, false},
		{"TCP with timestamps, odd payload", gro.Config{}, stamped, 7, 333, 1514, false},
		{"TCP over IPv6 with two tags, sequence numbers wrap", gro.Config{}, tagged, 5, 700, 1514, false},
		{"UDP over IPv4", udp, frames.UDP(v4a, v4b, nil), 9, 1200, 1514, false},
		{"UDP over IPv6", udp, frames.UDP(v6a, v6b, nil), 3, 17, 1514, false},
		{"each packet in two frames", gro.Config{}, stamped, 6, 1300, 700, false},
		{"TCP in list mode", gro.Config{List: gro.ListTCP, Profile: gro.Linux618}, stamped, 6, 800, 1514, true},
		{"UDP in list mode", gro.Config{UDPPorts: udp.UDPPorts, List: gro.ListUDP}, frames.UDP(v4a, v4b, nil), 6, 800, 1514, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, c.cfg)
			push := uint8(frames.PSH)
			if c.list { // T15: all flags must be equal
				push = 0
			}
			wire := flow(c.f, c.count, c.size, push)
			p := b.merged(wire, c.chunk)
			defer func() {
				p.Release()
				b.q.pool.Reclaim()
			}()
			gso := c.size
			if c.count == 1 {
				gso = 0
			}
			if p.Count() != c.count || p.GSOSize() != gso || p.IsList() != c.list || p.IsChain() != (c.count > 1) {
				t.Errorf("count %d, gso %d, list %v, chain %v", p.Count(), p.GSOSize(), p.IsList(), p.IsChain())
			}
			length := len(wire[0])
			for _, w := range wire[1:] {
				length += len(w)
				if !c.list {
					length -= c.f.Headers()
				}
			}
			all := p.Bytes(make([]byte, 0, p.Len()))
			if len(all) != length || p.Len() != length {
				t.Errorf("%d bytes, Len %d, want %d", len(all), p.Len(), length)
			}
			if got := slices.Concat(slices.Collect(p.Segments())...); !bytes.Equal(got, all) {
				t.Error("Segments and Bytes differ")
			}
			if got := slices.Concat(p.Buffers(nil)...); !bytes.Equal(got, all) {
				t.Error("Buffers and Bytes differ")
			}
			if got := p.AppendWire(nil); !slices.EqualFunc(got, wire, bytes.Equal) {
				t.Errorf("taken apart into %d packets that are not the %d that came", len(got), len(wire))
			}
			if after := p.Bytes(nil); !bytes.Equal(after, all) {
				t.Error("taking the packet apart changed it")
			}
		})
	}
}

func TestTakingApartStopsWhenAskedAndAllocatesNothing(t *testing.T) {
	b := newBench(t, gro.Config{})
	wire := flow(frames.TCP(v4a, v4b, 1, nil), 10, 1000, frames.PSH)
	p := b.merged(wire, 1514)
	for parts := range p.Resegment() {
		if !bytes.Equal(slices.Concat(parts...), wire[0]) {
			t.Error("the first packet is not the first that came")
		}
		break
	}
	var s Splitter
	n := 0
	allocs := testing.AllocsPerRun(100, func() {
		for range p.ResegmentWith(&s) {
			n++
		}
	})
	if allocs > 0 || n != 101*10 {
		t.Errorf("%v allocations, %d packets in 101 runs", allocs, n)
	}
	p.Release()
	b.q.pool.Reclaim()
}

func TestAnIteratorThatOutlivesItsPacketPanics(t *testing.T) {
	b := newBench(t, gro.Config{})
	p := b.merged(flow(frames.TCP(v4a, v4b, 1, nil), 2, 100, frames.PSH), 1514)
	segments, wire := p.Segments(), p.Resegment()
	p.Release()
	b.q.pool.Reclaim()
	for name, use := range map[string]func(){
		"Segments, made before": func() {
			for range segments {
			}
		},
		"Resegment, made before": func() {
			for range wire {
			}
		},
		"IsList":    func() { p.IsList() },
		"Resegment": func() { p.Resegment() },
		"Bytes":     func() { p.Bytes(nil) },
	} {
		func() {
			defer func() {
				err, _ := recover().(error)
				var misuse *umem.MisuseError
				if !errors.As(err, &misuse) || misuse.Kind != umem.UseAfterRelease {
					t.Errorf("%s: %v", name, err)
				}
			}()
			use()
		}()
	}
}
