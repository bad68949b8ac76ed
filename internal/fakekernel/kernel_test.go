package fakekernel

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"xrx/internal/ring"
	"xrx/internal/sys"
	"xrx/umem"
)

// user is the other half: a fill producer and an rx consumer without any policy.
type user struct {
	*Kernel
	fill *ring.Producer[uint64]
	rx   *ring.Consumer[sys.XDPDesc]
	pool *umem.Pool
}

func newUser(t *testing.T, cfg umem.Config, size int) *user {
	mem, pools := NewUmem(t, cfg, 1)
	k := New(mem, size)
	return &user{k, ring.NewProducer(k.Fill), ring.NewConsumer(k.Rx), pools[0]}
}

func (u *user) post(addrs ...uint64) {
	for _, a := range addrs {
		u.fill.Reserve(1)[0] = a
		u.fill.Advance(1)
	}
	u.fill.Submit()
}

func (u *user) postFrames(n int) {
	slots := make([]uint64, n)
	u.post(slots[:u.pool.Fill(slots)]...)
}

func (u *user) take() (got []sys.XDPDesc) {
	for {
		d := u.rx.Peek(u.rx.Size())
		if len(d) == 0 {
			u.rx.Release()
			return got
		}
		got = append(got, d...)
		u.rx.Advance(len(d))
	}
}

// The rows are the measurements of this project's platform notes: what the real kernel did on 6.18.
func TestFillAddressesAreTreatedAsTheKernelTreatsThem(t *testing.T) {
	aligned := umem.Config{Frames: 8}
	unaligned := umem.Config{Frames: 8, ChunkSize: 3000, Unaligned: true}
	for _, c := range []struct {
		name string
		cfg  umem.Config
		fill []uint64
		want []uint64 // descriptor addresses, one packet sent for each address posted
		Counters
	}{
		{"a chunk base gives base + headroom + 256", aligned, []uint64{4096}, []uint64{4096 + 448}, Counters{Packets: 1}},
		{"a larger headroom moves the packet", umem.Config{Frames: 8, Headroom: 192}, []uint64{4096}, []uint64{4096 + 448}, Counters{Packets: 1}},
		{"a misaligned address is rounded down without a word", aligned, []uint64{4096 + 77}, []uint64{4096 + 448}, Counters{Packets: 1, Rounded: 1}},
		{"an address beyond the UMEM is consumed without a word", aligned, []uint64{1 << 30, 2048}, []uint64{2048 + 448}, Counters{Packets: 1, Beyond: 1}},
		{"the same chunk twice gives two descriptors on one address", aligned, []uint64{2048, 2048}, []uint64{2048 + 448, 2048 + 448}, Counters{Packets: 2}},
		{"an unaligned chunk keeps its base and gets the offset on top", unaligned, []uint64{3008}, []uint64{3008 | 448<<48}, Counters{Packets: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUser(t, c.cfg, 16)
			u.post(c.fill...)
			for range c.want {
				if v := u.Step(Packet{Data: make([]byte, 60)}); v != Taken {
					t.Fatal(v)
				}
			}
			u.Flush()
			var got []uint64
			for _, d := range u.take() {
				got = append(got, d.Addr)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("descriptors at %#x, want %#x", got, c.want)
			}
			if k := u.Counters; k.Packets != c.Packets || k.Beyond != c.Beyond || k.Rounded != c.Rounded {
				t.Errorf("counters %+v", k)
			}
		})
	}
}

func TestWhatDoesNotFitIsCountedAsTheKernelCountsIt(t *testing.T) {
	small, long := Packet{Data: make([]byte, 60)}, Packet{Data: make([]byte, 5000)}
	for _, c := range []struct {
		name         string
		fill, rx, sg int // frames posted, rx ring size, multi-buffer
		packets      []Packet
		verdicts     []Verdict
		want         Counters
	}{
		{"an empty fill ring is a drop and an empty count", 1, 8, 0, []Packet{small, small}, []Verdict{Taken, NoFrame}, Counters{RxDropped: 1, FillRingEmpty: 1, Packets: 1, Bytes: 60, Descs: 1}},
		{"a full rx ring is only that", 4, 2, 0, []Packet{small, small, small}, []Verdict{Taken, Taken, RxFull}, Counters{RxRingFull: 1, Packets: 2, Bytes: 120, Descs: 2}},
		{"an oversize packet is only a drop", 4, 8, 0, []Packet{long}, []Verdict{TooLong}, Counters{RxDropped: 1}},
		{"with multi-buffer it takes a chain", 4, 8, 1, []Packet{long}, []Verdict{Taken}, Counters{Packets: 1, Bytes: 5000, Descs: 4}},
		{"a chain is taken whole or not at all, for want of chunks", 3, 8, 1, []Packet{long, small}, []Verdict{NoFrame, Taken}, Counters{RxDropped: 1, Packets: 1, Bytes: 60, Descs: 1}},
		{"and for want of descriptors", 8, 2, 1, []Packet{long, small}, []Verdict{RxFull, Taken}, Counters{RxRingFull: 1, Packets: 1, Bytes: 60, Descs: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem, pools := NewUmem(t, umem.Config{Frames: 16}, 1)
			k := NewRings(mem, 16, c.rx)
			k.SG = c.sg == 1
			u := &user{k, ring.NewProducer(k.Fill), ring.NewConsumer(k.Rx), pools[0]}
			u.postFrames(c.fill)
			for i, p := range c.packets {
				if v := k.Step(p); v != c.verdicts[i] {
					t.Errorf("packet %d: %v, want %v", i, v, c.verdicts[i])
				}
			}
			if k.Counters != c.want {
				t.Errorf("counted %+v\n   want %+v", k.Counters, c.want)
			}
		})
	}
}

func TestAChunkThatFoundTheRxRingFullIsUsedForTheNextPacket(t *testing.T) {
	mem, pools := NewUmem(t, umem.Config{Frames: 4}, 1)
	k := NewRings(mem, 4, 1)
	u := &user{k, ring.NewProducer(k.Fill), ring.NewConsumer(k.Rx), pools[0]}
	u.postFrames(2)
	p := Packet{Data: make([]byte, 60)}
	if k.Receive(p, p) != 1 || k.Counters.RxRingFull != 1 {
		t.Fatal(k)
	}
	first := u.take()
	if u.fill.Level() != 0 {
		t.Fatalf("%d addresses on the fill ring: the second was consumed too", u.fill.Level())
	}
	if k.Receive(p) != 1 {
		t.Fatal("the chunk of the packet that was dropped has gone: ", k)
	}
	if second := u.take(); len(second) != 1 || second[0].Addr == first[0].Addr {
		t.Fatalf("first %+v, then %+v", first, second)
	}
}

func TestPacketsAndTheirMetadataLieWhereTheKernelPutsThem(t *testing.T) {
	for _, cfg := range []umem.Config{{Frames: 8}, {Frames: 8, ChunkSize: 4096, Headroom: 256}, {Frames: 8, ChunkSize: 3000, Unaligned: true}} {
		t.Run(fmt.Sprintf("chunk %d headroom %d", cfg.ChunkSize, cfg.Headroom), func(t *testing.T) {
			u := newUser(t, cfg, 8)
			u.postFrames(8)
			u.SG = true
			data := make([]byte, u.FrameSize()*2+100)
			for i := range data {
				data[i] = byte(i * 7)
			}
			u.Receive(Packet{Data: data, Meta: []byte("stamp")})
			var got []byte
			descs := u.take()
			for i, d := range descs {
				if more := d.Options&sys.XDPPktContd != 0; more != (i < 2) {
					t.Errorf("descriptor %d of %d: continued is %v", i, len(descs), more)
				}
				h, f := u.pool.Receive(d.Addr, d.Len)
				if f != umem.NoFault {
					t.Fatal(f)
				}
				got = append(got, h.Bytes()...)
				if i == 0 && string(h.Before(5)) != "stamp" {
					t.Errorf("metadata %q", h.Before(5))
				}
			}
			if !bytes.Equal(got, data) {
				t.Error("the bytes of the chain are not those of the packet")
			}
		})
	}
}

func TestEveryInjectedFaultIsCalledByItsNameAndDeliversNothing(t *testing.T) {
	for _, cfg := range []umem.Config{{Frames: 8}, {Frames: 7}, {Frames: 8, ChunkSize: 3000, Unaligned: true}} {
		for f := range NumFaults {
			t.Run(fmt.Sprintf("%v, %d chunks of %d", f, cfg.Frames, max(2048, cfg.ChunkSize)), func(t *testing.T) {
				u := newUser(t, cfg, 8)
				u.postFrames(4)
				u.Receive(Packet{Data: make([]byte, 60)})
				good := u.take()[0]
				if _, fault := u.pool.Receive(good.Addr, good.Len); fault != umem.NoFault {
					t.Fatal(fault)
				}
				if err := u.Inject(f); err != nil {
					t.Fatal(err)
				}
				u.Flush()
				for _, d := range u.take() {
					h, fault := u.pool.Receive(d.Addr, d.Len)
					if h != nil || fault != f.Want() {
						t.Errorf("frame %v, fault %v, want none and %v", h != nil, fault, f.Want())
					}
				}
				if u.pool.Faults[f.Want()] != 1 {
					t.Errorf("counted %v", u.pool.Faults)
				}
				lost := 0
				if f == SmashedMagic {
					lost = 1
				}
				if l := u.pool.Audit(); l.Lost != lost {
					t.Errorf("ledger %v, want lost %d", l, lost)
				}
			})
		}
	}
}

func TestInjectSaysWhyItCannot(t *testing.T) {
	u := newUser(t, umem.Config{Frames: 2}, 2)
	for _, f := range []Fault{Duplicate, WrongLength, InHeader, SmashedMagic} {
		if u.Inject(f) == nil {
			t.Errorf("%v with nothing posted and nothing received", f)
		}
	}
	u.postFrames(2)
	if u.Inject(NeverPosted) == nil {
		t.Error("never posted, with every chunk posted")
	}
	u.Receive(Packet{Data: []byte{1}}, Packet{Data: []byte{2}})
	if u.Inject(Foreign) == nil {
		t.Error("injected into a full rx ring")
	}
}

// Both halves on their own goroutine: every packet once, in order, byte for byte.
func TestARunningKernelDeliversEveryPacketInOrder(t *testing.T) {
	const total = 20_000
	u := newUser(t, umem.Config{Frames: 64}, 32)
	packets := func(yield func(Packet) bool) {
		for i := range total {
			if !yield(Packet{Data: fmt.Appendf(nil, "packet %d", i)}) {
				return
			}
		}
	}
	r := u.Start(packets, true, 8)
	defer r.Stop()
	for i := 0; i < total; {
		if n := min(u.fill.Free(), u.pool.In(umem.Free)); n > 0 {
			u.postFrames(n)
		}
		for _, d := range u.take() {
			h, f := u.pool.Receive(d.Addr, d.Len)
			if f != umem.NoFault {
				t.Fatal(f)
			}
			if want := fmt.Sprintf("packet %d", i); string(h.Bytes()) != want {
				t.Fatalf("got %q, want %q", h.Bytes(), want)
			}
			i++
			u.pool.Drop(h)
		}
	}
	r.Stop()
	if k := u.Counters; k.Packets != total || k.RxDropped+k.RxRingFull != 0 {
		t.Fatal(u.Kernel)
	}
}
