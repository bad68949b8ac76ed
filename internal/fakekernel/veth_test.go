package fakekernel_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"xrx/bpf"
	"xrx/internal/fakekernel"
	"xrx/internal/ring"
	"xrx/internal/sys"
	"xrx/internal/testnet"
	"xrx/umem"
	"xrx/xsk"
)

// outcome is what a receiver can see of what a kernel did.
type outcome struct {
	Descs []sys.XDPDesc
	Level int // addresses left on the fill ring
	Stats [3]uint64
}

// The fake kernel is worth what it has in common with the real one: the same addresses on the fill ring and the same
// packets on the wire must give the same descriptors and the same counts.
func TestTheFakeKernelDoesWhatTheRealOneDoes(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{MTU: 3400})
	sender := n.Sender()
	var prog *bpf.Program
	n.InB(func() {
		var err error
		if prog, err = bpf.Load(bpf.Options{MaxQueues: 1}); err != nil {
			t.Fatal(err)
		}
	})
	defer prog.Close()
	var link *bpf.Attachment
	n.InB(func() {
		var err error
		if link, err = prog.Attach(n.B.Index, bpf.Native); err != nil {
			t.Fatal(err)
		}
	})
	defer link.Close()

	aligned, unaligned := umem.Config{Frames: 16}, umem.Config{Frames: 16, ChunkSize: 3000, Unaligned: true}
	small := []int{60}
	for _, c := range []struct {
		name  string
		cfg   umem.Config
		sg    bool
		rx    int
		fill  []uint64
		sizes []int // of the packets sent, in bytes
	}{
		{"chunk bases", aligned, false, 16, []uint64{0, 2048, 4096}, []int{60, 61, 1514}},
		{"a larger headroom", umem.Config{Frames: 16, Headroom: 512}, false, 16, []uint64{2048}, small},
		{"misaligned addresses", aligned, false, 16, []uint64{2048 + 77, 4096 + 2047}, []int{60, 60}},
		{"addresses beyond the UMEM", aligned, false, 16, []uint64{1 << 30, 1 << 20, 2048, 1 << 40}, []int{60, 60}},
		{"the same chunk twice", aligned, false, 16, []uint64{2048, 2048}, []int{60, 64}},
		{"an empty fill ring", aligned, false, 16, []uint64{2048}, []int{60, 60, 60}},
		{"a full rx ring, and the chunk is used again", aligned, false, 2, []uint64{0, 2048, 4096, 6144}, []int{60, 60, 60, 60, 60}},
		{"unaligned chunks", unaligned, false, 16, []uint64{3008, 6016}, []int{60, 2500}},
		{"chains", aligned, true, 16, []uint64{0, 2048, 4096, 6144, 8192}, []int{3000, 60, 1500, 3400}},
		{"chains that find too few chunks", aligned, true, 16, []uint64{0, 2048}, []int{60, 3000, 60}},
		{"chains that find too few descriptors", aligned, true, 2, []uint64{0, 2048, 4096, 6144}, []int{60, 3000, 60}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var packets [][]byte
			for i, size := range c.sizes {
				p := make([]byte, size)
				copy(p, n.B.MAC)
				copy(p[6:], n.A.MAC)
				p[12], p[13], p[14] = 0x88, 0xb5, byte(i) // local experimental EtherType
				packets = append(packets, p)
			}

			mem, err := umem.New(c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer mem.Close()
			var s *xsk.Socket
			n.InB(func() {
				s, err = xsk.Open(xsk.Config{Umem: mem, IfIndex: n.B.Index, Iface: n.B.Iface, FillSize: 16, RxSize: c.rx, SG: c.sg})
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			post(s.Fill, c.fill)
			if _, err := s.Bind(xsk.Copy, false); err != nil {
				t.Fatal(err)
			}
			if err := prog.Register(0, s.FD()); err != nil {
				t.Fatal(err)
			}
			defer prog.Unregister(0)
			// One at a time, each seen through before the next: then the rings have no timing.
			var real outcome
			for i, p := range packets {
				sender.Send(p)
				await(t, prog, s, i+1)
			}
			real.Descs, real.Level = peek(s.Rx), s.Fill.Level()
			st, err := s.Stats()
			if err != nil {
				t.Fatal(err)
			}
			real.Stats = [3]uint64{st.RxDropped, st.RxRingFull, st.RxFillRingEmptyDescs}

			fakeMem, _ := fakekernel.NewUmem(t, c.cfg, 1)
			k := fakekernel.NewRings(fakeMem, 16, c.rx)
			k.SG = c.sg
			fill := ring.NewProducer(k.Fill)
			post(fill, c.fill)
			for _, p := range packets {
				k.Receive(fakekernel.Packet{Data: p})
			}
			fake := outcome{peek(ring.NewConsumer(k.Rx)), fill.Level(), [3]uint64{k.Counters.RxDropped, k.Counters.RxRingFull, k.Counters.FillRingEmpty}}

			if !slices.Equal(real.Descs, fake.Descs) || real.Stats != fake.Stats || real.Level != fake.Level {
				t.Errorf("real %s\nfake %s", real, fake)
			}
			for _, d := range real.Descs {
				if a, b := bytesOf(mem, d), bytesOf(fakeMem, d); !bytes.Equal(a, b) {
					t.Errorf("packet at %#x: real % x.., fake % x..", d.Addr, a[:16], b[:16])
				}
			}
		})
	}
}

func (o outcome) String() string {
	s := fmt.Sprintf("rx_dropped %d, rx_ring_full %d, fill_ring_empty %d, %d left;", o.Stats[0], o.Stats[1], o.Stats[2], o.Level)
	for _, d := range o.Descs {
		s += fmt.Sprintf(" %#x+%d/%d", d.Addr, d.Len, d.Options)
	}
	return s
}

func post(r *ring.Producer[uint64], addrs []uint64) {
	copy(r.Reserve(len(addrs)), addrs)
	r.Advance(len(addrs))
	r.Submit()
}

func peek(r *ring.Consumer[sys.XDPDesc]) []sys.XDPDesc { return slices.Clone(r.Peek(r.Size())) }

func bytesOf(u *umem.Umem, d sys.XDPDesc) []byte {
	at := d.Addr&(1<<48-1) + d.Addr>>48
	return u.Memory()[at : at+uint64(d.Len)]
}

// await waits until the XDP program has seen off n packets since its socket was registered: each is on the rx ring or
// counted as lost.
func await(t *testing.T, prog *bpf.Program, s *xsk.Socket, n int) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		st, err := s.Stats()
		if err != nil {
			t.Fatal(err)
		}
		done := int(st.RxDropped + st.RxRingFull)
		for _, d := range s.Rx.Peek(s.Rx.Size()) {
			if d.Options&sys.XDPPktContd == 0 {
				done++
			}
		}
		if done >= n {
			return
		}
	}
	t.Fatalf("packet %d was neither received nor counted", n)
}
