package txring

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"xrx/internal/fakekernel"
	"xrx/internal/frames"
	"xrx/internal/ring"
	"xrx/internal/sys"
	"xrx/internal/testnet"
	"xrx/umem"
)

// kernel is the kernel's half of a tx and a completion ring in copy mode: each call sends some packets, and completes
// frames in any order.
type kernel struct {
	t     testing.TB
	mem   *umem.Umem
	tx    *ring.Consumer[sys.XDPDesc]
	comp  *ring.Producer[uint64]
	flags *uint32

	sent    [][]byte // packets as they went on the wire
	part    []byte   // of a packet over several descriptors
	pending []uint64 // taken and not completed
	errs    []error  // what the next calls say; then nil, or EAGAIN after batch packets
	batch   int
	hold    bool // completes nothing
	calls   int
	rng     *rand.Rand
}

// rig is a sender with that kernel on the other side, and a pool to receive into.
type rig struct {
	*Sender
	k *kernel
	p *umem.Pool
	u *umem.Umem
}

func newRig(t testing.TB, cfg Config, ucfg umem.Config, size int) *rig {
	mem, pools := fakekernel.NewUmem(t, ucfg, 1)
	tx, comp := ring.New[sys.XDPDesc](size), ring.New[uint64](size)
	k := &kernel{t: t, mem: mem, tx: ring.NewConsumer(tx), comp: ring.NewProducer(comp), flags: tx.Flags, batch: kernelBatch, rng: rand.New(rand.NewPCG(testnet.Seed(t), 1))}
	cfg.Ring, cfg.Completions, cfg.Pool, cfg.Kick = ring.NewProducer(tx), ring.NewConsumer(comp), pools[0], k.send
	return &rig{New(cfg), k, pools[0], mem}
}

func (k *kernel) send() error {
	k.calls++
	if len(k.errs) > 0 {
		err := k.errs[0]
		k.errs = k.errs[1:]
		if err == syscall.EBUSY && !(k.room() && k.take(false)) { // NET_XMIT_DROP: completed, not sent
			err = syscall.EAGAIN
		}
		k.complete()
		return err
	}
	for range k.batch {
		if !k.room() || !k.take(true) {
			break
		}
	}
	k.complete()
	if k.tx.Level() > 0 {
		return syscall.EAGAIN
	}
	return nil
}

// room reports whether completions of one more packet, of three frames at most here, find room: the kernel reserves
// that before it sends (xsk_cq_reserve_addr_locked).
func (k *kernel) room() bool { return k.comp.Free()-len(k.pending) >= 3 }

// take takes one packet off the tx ring.
func (k *kernel) take(send bool) bool {
	for {
		d := k.tx.Peek(1)
		if len(d) == 0 {
			return false
		}
		base, off := d[0].Addr&^uint64(k.mem.Config().ChunkSize-1), d[0].Addr&uint64(k.mem.Config().ChunkSize-1)
		if k.mem.Config().Unaligned {
			base, off = d[0].Addr&(1<<48-1), d[0].Addr>>48
		}
		if off+uint64(d[0].Len) > uint64(k.mem.Config().ChunkSize) || int(off) < k.mem.Config().Headroom {
			k.t.Fatalf("descriptor %+v is outside the packet area of its chunk", d[0])
		}
		k.part = append(k.part, k.mem.Memory()[base+off:base+off+uint64(d[0].Len)]...)
		k.pending = append(k.pending, d[0].Addr)
		k.tx.Advance(1)
		k.tx.Release()
		if d[0].Options&sys.XDPPktContd == 0 {
			if send {
				k.sent = append(k.sent, k.part)
			}
			k.part = nil
			return true
		}
	}
}

func (k *kernel) complete() {
	if k.hold {
		return
	}
	k.rng.Shuffle(len(k.pending), func(i, j int) { k.pending[i], k.pending[j] = k.pending[j], k.pending[i] })
	for len(k.pending) > 0 {
		s := k.comp.Reserve(1)
		if len(s) == 0 {
			break
		}
		s[0] = k.pending[0]
		k.pending = k.pending[1:]
		k.comp.Advance(1)
	}
	k.comp.Submit()
}

// packet receives b, over as many frames as it takes.
func (r *rig) packet(t testing.TB, b []byte) *umem.Header {
	t.Helper()
	var head *umem.Header
	for first := true; first || len(b) > 0; first = false {
		var slot [1]uint64
		if r.p.Fill(slot[:]) != 1 {
			t.Fatal("no frame")
		}
		n := min(len(b), r.u.Usable())
		copy(r.u.Memory()[int(slot[0])+r.u.PacketOffset():], b[:n])
		addr := slot[0] + uint64(r.u.PacketOffset())
		if r.u.Config().Unaligned {
			addr = slot[0] | uint64(r.u.PacketOffset())<<48
		}
		h, f := r.p.Receive(addr, uint32(n))
		if f != umem.NoFault {
			t.Fatal(f)
		}
		if b = b[n:]; head == nil {
			head = h
			continue
		}
		h.Kind = umem.Fragment
		head.Total += h.Len
		r.p.Append(head, h)
	}
	return head
}

func (r *rig) settled(t testing.TB) {
	t.Helper()
	if l := r.p.Audit(); l.Lost != 0 || l.Free != l.Total {
		t.Errorf("ledger: %v", l)
	}
	if r.p.Unsent != ([umem.NumFaults]uint64{}) {
		t.Errorf("completions refused: %v", r.p.Unsent)
	}
}

func (s *Sender) dropped() (n uint64) {
	for _, d := range s.Stats.Drops {
		n += d
	}
	return n
}

func number(i, size int) []byte {
	b := make([]byte, size)
	binary.BigEndian.PutUint16(b[12:], 0x88b5)
	binary.BigEndian.PutUint32(b[14:], uint32(i))
	for j := 18; j < size; j++ {
		b[j] = byte(i + j*3)
	}
	return b
}

// Every packet is sent once, whole and in order, or dropped and counted, whatever the kernel answers; every frame comes
// home.
func TestEveryPacketIsSentOnceOrDroppedByNameWhateverTheKernelSays(t *testing.T) {
	answers := []error{nil, syscall.EAGAIN, syscall.ENOBUFS, syscall.EBUSY, syscall.ENETDOWN}
	for _, ucfg := range []umem.Config{{Frames: 256}, {Frames: 256, ChunkSize: 3000, Unaligned: true}} {
		for _, size := range []int{4, 32, 128} {
			r := newRig(t, Config{}, ucfg, size)
			rng := rand.New(rand.NewPCG(testnet.Seed(t), uint64(size)))
			want := map[uint32][]byte{}
			for i := range 5000 {
				b := number(i, 60+rng.IntN(4000))
				want[uint32(i)] = b
				if rng.IntN(4) == 0 {
					r.k.errs = append(r.k.errs, answers[rng.IntN(len(answers))])
				}
				r.k.hold = rng.IntN(8) == 0
				for r.p.In(umem.Free) < 4 { // all are on their way: completions come in the end
					r.k.hold = false
					r.Flush()
				}
				r.Send(r.packet(t, b))
				if rng.IntN(3) == 0 {
					r.Flush()
				}
				if l := r.p.Counts(); l.Sending > 2*size || l.Lost != 0 {
					t.Fatalf("packet %d: %v with rings of %d", i, l, size)
				}
			}
			r.k.hold, r.k.errs = false, nil
			if n := r.Drain(time.Second); n != 0 {
				t.Errorf("%d frames have not come back", n)
			}
			last := -1
			for _, b := range r.k.sent {
				i := binary.BigEndian.Uint32(b[14:])
				if int(i) <= last || !bytes.Equal(b, want[i]) {
					t.Fatalf("packet %d after %d, of %d bytes, is not what was given", i, last, len(b))
				}
				last = int(i)
			}
			refused := r.Stats.Drops[Refused]
			if n := uint64(len(r.k.sent)); n == 0 || n+refused != r.Stats.Packets || r.Stats.Packets+r.dropped()-refused != 5000 {
				t.Errorf("%d sent, %+v", n, r.Stats)
			}
			r.settled(t)
		}
	}
}

func TestAFullRingDropsAndHoldsNoMoreThanItsDescriptors(t *testing.T) {
	r := newRig(t, Config{}, umem.Config{Frames: 64}, 8)
	r.k.batch = 0 // the kernel takes nothing
	for i := range 20 {
		r.Send(r.packet(t, number(i, 100)))
	}
	r.Flush()
	if l := r.p.Audit(); l.Sending != 8 || l.Free != 56 || r.Stats.Drops[Full] != 12 || !r.Waits() {
		t.Errorf("%v, %+v", l, r.Stats)
	}
	if r.k.calls > 100 {
		t.Errorf("%d system calls for nothing", r.k.calls)
	}
	r.k.batch = kernelBatch
	r.Flush()
	if len(r.k.sent) != 8 || r.Waits() {
		t.Errorf("%d sent when there was room again", len(r.k.sent))
	}
	r.settled(t)
}

func TestAnInterfaceThatIsGoneEndsSending(t *testing.T) {
	r := newRig(t, Config{}, umem.Config{Frames: 64}, 8)
	r.k.errs = []error{syscall.ENXIO}
	r.Send(r.packet(t, number(1, 100)))
	r.Flush()
	r.Send(r.packet(t, number(2, 100)))
	if r.Err() != syscall.ENXIO || r.Stats.Drops[Gone] != 1 || r.Waits() || r.Drain(time.Minute) != 1 {
		t.Errorf("%v, %+v", r.Err(), r.Stats)
	}
	if n := r.p.TakeBackSent(); n != 1 {
		t.Errorf("%d frames taken back", n)
	}
	r.settled(t)
}

// In zero-copy mode the driver sends by itself: it is told when it asks, and not otherwise.
func TestAZeroCopyDriverIsToldOnlyWhenItAsks(t *testing.T) {
	r := newRig(t, Config{ZeroCopy: true}, umem.Config{Frames: 64}, 8)
	r.Send(r.packet(t, number(1, 100)))
	r.Flush()
	if r.k.calls != 0 || r.Waits() {
		t.Errorf("%d calls though the driver did not ask", r.k.calls)
	}
	*r.k.flags = 1
	r.Flush()
	if r.k.calls != 1 || len(r.k.sent) != 1 {
		t.Errorf("%d calls, %d sent", r.k.calls, len(r.k.sent))
	}
	r.settled(t)
}

// A checksum that holds only the sum of the pseudo-header becomes what it must be; nothing else is touched.
func TestPartialChecksumsAreCompletedAndAllElseIsLeftAlone(t *testing.T) {
	v4, v6 := [2]netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}, [2]netip.Addr{netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")}
	for name, c := range map[string]struct {
		f    frames.Frame
		note string
	}{
		"UDP":                  {f: frames.Frame{Proto: frames.ProtoUDP}},
		"TCP":                  {f: frames.Frame{Proto: frames.ProtoTCP}},
		"TCP behind two tags":  {f: frames.Frame{Proto: frames.ProtoTCP, VLANs: []frames.VLAN{{TPID: frames.TypeQinQ, TCI: 1}, {TCI: 2}}}},
		"UDP with IP options":  {f: frames.Frame{Proto: frames.ProtoUDP, IPOptions: []byte{1, 1, 1, 0}}},
		"UDP behind extension": {f: frames.Frame{Proto: frames.ProtoUDP, Exts: []frames.Ext{{Type: frames.ExtDestOpts, Body: []byte{0, 1, 4, 0, 0, 0, 0}}}}},
	} {
		for _, ip := range [][2]netip.Addr{v4, v6} {
			if ip == v4 && c.f.Exts != nil || ip == v6 && c.f.IPOptions != nil {
				continue
			}
			for size := range 2200 { // also over two frames, cut at odd places, and padded
				if size > 70 && size%97 != 0 {
					continue
				}
				f := c.f
				f.Src, f.Dst, f.SrcPort, f.DstPort, f.Pad = ip[0], ip[1], 7, 9, true
				f.Payload = make([]byte, size)
				for i := range f.Payload {
					f.Payload[i] = byte(i*11 + size)
				}
				whole := f.Append(nil)
				l4, n, proto, pseudo, ok := transport(whole, len(whole))
				if !ok {
					t.Fatalf("%s of %d bytes is not recognised", name, size)
				}
				at := l4 + 16
				if proto == protoUDP {
					at = l4 + 6
				}
				if frames.Checksum(whole[l4:l4+n], frames.PseudoSum(ip[0], ip[1], proto, n)) != 0 {
					t.Fatalf("%s of %d bytes: the test's own checksum is wrong", name, size)
				}
				part := bytes.Clone(whole)
				ne.PutUint16(part[at:], pseudo)
				broken := bytes.Clone(whole)
				broken[at] ^= 0x55
				r := newRig(t, Config{}, umem.Config{Frames: 16}, 8)
				for _, b := range [][]byte{part, whole, broken} {
					r.Send(r.packet(t, b))
				}
				known := r.packet(t, part)
				known.Csum = umem.CsumOK // GRO knows better: no look
				r.Send(known)
				r.Flush()
				for i, want := range [][]byte{whole, whole, broken, part} {
					if !bytes.Equal(r.k.sent[i], want) {
						t.Fatalf("%s of %d bytes, packet %d:\nsent % x\nwant % x", name, size, i, r.k.sent[i][:at+2], want[:at+2])
					}
				}
				if bytes.Equal(part, whole) == (r.Stats.Checksums == 1) {
					t.Errorf("%d checksums completed", r.Stats.Checksums)
				}
				r.settled(t)
			}
		}
	}
}

// Whatever the bytes, looking for a checksum reads nothing that is not the packet's, and a packet is sent with its length.
func FuzzAnyBytesAreSentWithTheirLength(f *testing.F) {
	f.Add(number(1, 100))
	udp := frames.Frame{Proto: frames.ProtoUDP, Src: netip.MustParseAddr("fd00::1"), Dst: netip.MustParseAddr("fd00::2"), Payload: make([]byte, 40)}
	f.Add(udp.Append(nil))
	udp.Src, udp.Dst = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	f.Add(udp.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 9000 {
			return
		}
		r := newRig(t, Config{SwapMAC: true, MTU: 5000}, umem.Config{Frames: 16}, 16)
		r.Send(r.packet(t, b))
		r.Flush()
		switch {
		case len(b) < ethLen && r.Stats.Drops[Short] == 1:
		case len(b) > 5000+ethLen && r.Stats.Drops[TooLong] == 1:
		case len(r.k.sent) != 1 || len(r.k.sent[0]) != len(b) || !bytes.Equal(r.k.sent[0][:6], b[6:12]):
			t.Errorf("%d bytes: %+v", len(b), r.Stats)
		}
		r.settled(t)
	})
}
