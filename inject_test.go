package xrx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"xrx/fillring"
	"xrx/gro"
	"xrx/internal/fakekernel"
	"xrx/umem"
	"xrx/xsk"
)

// bare is a Queue with the fake kernel on the other side of its rings: no socket, no program, no goroutine.
type bare struct {
	*Queue
	k   *fakekernel.Kernel
	got [][]byte // what was delivered, in order
}

const bareBudget = 64

func newBare(t testing.TB, cfg umem.Config, ring int, merge *gro.Config) *bare {
	t.Helper()
	mem, pools := fakekernel.NewUmem(t, cfg, 1)
	return newBareOn(t, mem, pools[0], ring, merge)
}

// newBareOn is newBare with frames that lie in a region of others too.
func newBareOn(t testing.TB, mem *umem.Umem, pool *umem.Pool, ring int, merge *gro.Config) *bare {
	t.Helper()
	k := fakekernel.New(mem, ring)
	q := &Queue{cfg: &Config{Budget: bareBudget, GRO: merge}, mem: mem, pool: pool, sock: xsk.Over(k.Fill, k.Rx),
		packetOffset: mem.PacketOffset(), in: make([]*umem.Header, 0, bareBudget), out: make([]Packet, 0, bareBudget),
		metaRefused: func() bool { return false }}
	(&poller{cfg: q.cfg, cpu: -1, event: -1}).adopt(q)
	q.fill = fillring.New(q.sock.Fill, q.pool)
	q.fill.Refill()
	if merge != nil {
		var err error
		if q.gro, err = gro.New(q.pool, *merge); err != nil {
			t.Fatal(err)
		}
	}
	b := &bare{Queue: q, k: k}
	q.handle = b.take
	return b
}

func (b *bare) take(p Packet) { b.got = append(b.got, p.Bytes(nil)) }

// expect checks what was delivered, and that every frame is accounted for.
func (b *bare) expect(t *testing.T, want ...[]byte) {
	t.Helper()
	if len(b.got) != len(want) {
		t.Errorf("%d packets delivered, want %d", len(b.got), len(want))
	}
	for i := range min(len(b.got), len(want)) {
		if !bytes.Equal(b.got[i], want[i]) {
			t.Errorf("packet %d: % x, want % x", i, b.got[i][:16], want[i][:16])
		}
	}
	b.balance(t, 0)
}

func (b *bare) balance(t *testing.T, lost int) {
	t.Helper()
	if l := b.pool.Audit(); l.Lost != lost || l.Received+l.Held+l.Sending != 0 {
		t.Errorf("ledger: %v, want lost %d", l, lost)
	}
}

// plain is a packet that nobody parses, told from others by its number.
func plain(number, size int) []byte {
	p := make([]byte, size)
	binary.BigEndian.PutUint16(p[12:], 0x88b5)
	for i := 14; i < size; i++ {
		p[i] = byte(number*31 + i*7 + i>>8)
	}
	binary.BigEndian.PutUint16(p[14:], uint16(number))
	return p
}

func (b *bare) arrive(t testing.TB, packets ...[]byte) {
	t.Helper()
	for _, p := range packets {
		if v := b.k.Step(fakekernel.Packet{Data: p}); v != fakekernel.Taken {
			t.Fatalf("the fake kernel says %v: %v", v, b.k)
		}
	}
}

// merging lists GRO settings that must make no difference to a packet that is alone.
var merging = map[string]*gro.Config{"GRO off": nil, "GRO on": {}, "GRO with a timer": {Flush: time.Millisecond}}

func TestAWrongDescriptorIsCountedByNameAndNeverDelivered(t *testing.T) {
	for f := range fakekernel.NumFaults {
		for name, merge := range merging {
			for _, cfg := range []umem.Config{{Frames: 64}, {Frames: 64, ChunkSize: 3000, Unaligned: true}} {
				t.Run(fmt.Sprintf("%v, %s, unaligned %v", f, name, cfg.Unaligned), func(t *testing.T) {
					b := newBare(t, cfg, 32, merge)
					first, second, third := plain(1, 200), plain(2, 60), plain(3, 1500)
					b.arrive(t, first)
					if err := b.k.Inject(f); err != nil {
						t.Fatal(err)
					}
					b.arrive(t, second)
					b.k.Flush()
					if n := b.Poll(bareBudget); n != 3 {
						t.Errorf("polled %d descriptors, want 3", n)
					}
					b.arrive(t, third) // the queue goes on as if nothing had been
					b.k.Flush()
					b.Poll(bareBudget)

					s := b.snapshot()
					if reason := "descriptor_" + f.Want().String(); len(s.Drops) != 1 || s.Drops[reason] != 1 {
						t.Errorf("drops %v, want one %s", s.Drops, reason)
					}
					if s.Packets != 3 || s.OutPackets != 3 {
						t.Errorf("%d received, %d delivered", s.Packets, s.OutPackets)
					}
					if f == fakekernel.SmashedMagic {
						b.balance(t, 1) // its header is gone: that is what lost means
						return
					}
					b.expect(t, first, second, third)
				})
			}
		}
	}
}

// A descriptor may come twice at any time of its frame's life. Only once the frame is the kernel's again can nobody
// tell.
func TestADuplicateDescriptorIsAFaultInEveryStateOfItsFrame(t *testing.T) {
	packet := plain(1, 300)
	for _, c := range []struct {
		state  umem.State
		before func(b *bare)
		after  func(b *bare)
	}{
		{umem.Received, func(b *bare) {}, func(b *bare) {}}, // both in one batch
		{umem.Free, func(b *bare) { b.Poll(bareBudget) }, func(b *bare) {}},
		{umem.Delivered, func(b *bare) {
			b.handle, b.batch = nil, func(batch []Packet) {
				for _, p := range batch {
					b.take(p)
				}
				b.out = append(b.out[:0:0], batch...) // kept
			}
			b.Poll(bareBudget)
		}, func(b *bare) {
			held := b.out[0]
			if b.mem.State(held.h) != umem.Delivered || !bytes.Equal(held.Data(), packet) {
				panic("the packet in the consumer's hands was touched")
			}
			held.Release()
			b.pool.Reclaim()
		}},
	} {
		t.Run(c.state.String(), func(t *testing.T) {
			b := newBare(t, umem.Config{Frames: 64}, 32, nil)
			b.arrive(t, packet)
			b.k.Flush()
			c.before(b)
			if err := b.k.Inject(fakekernel.Duplicate); err != nil {
				t.Fatal(err)
			}
			b.k.Flush()
			b.Poll(bareBudget)
			c.after(b)
			if n := b.pool.Faults[umem.NotFilling]; n != 1 {
				t.Errorf("faults %v, want one not_filling", b.pool.Faults)
			}
			b.expect(t, packet)
		})
	}
}

func TestABurstOfFaultsAmongThousandsOfPacketsCostsNoOtherPacket(t *testing.T) {
	const rounds, each = 500, 20
	b := newBare(t, umem.Config{Frames: 256}, 128, nil)
	var want [][]byte
	injected := [umem.NumFaults]uint64{}
	for round := range rounds {
		for i := range each {
			p := plain(round*each+i, 60+(round*37+i*101)%1400)
			b.arrive(t, p)
			want = append(want, p)
			f := fakekernel.Fault((round + i) % int(fakekernel.NumFaults))
			switch {
			case i%3 != 0, f == fakekernel.NeverPosted, f == fakekernel.SmashedMagic: // covered above
				continue
			case f.Spends() && round%100 != 0: // each costs a frame for good
				continue
			}
			if err := b.k.Inject(f); err != nil {
				t.Fatal(err)
			}
			injected[f.Want()]++
		}
		b.k.Flush()
		b.Poll(bareBudget)
	}
	if b.pool.Faults != injected || injected[umem.NotFilling] == 0 || injected[umem.BadAddress] == 0 || injected[umem.BadLength] == 0 {
		t.Errorf("counted %v, injected %v", b.pool.Faults, injected)
	}
	b.expect(t, want...)
}
