package umem

import (
	"math/rand/v2"
	"slices"
	"testing"

	"xrx/internal/sys"
)

// Two regions alike are shown the same descriptors, right and wrong: many at once, and one by one.
func TestWholePacketsReceivedAtOnceAreThoseReceivedOneByOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 11))
	for _, cfg := range []Config{{Frames: 16}, {Frames: 15, ChunkSize: 4096, Headroom: HeaderSize}, {Frames: 13, ChunkSize: 3000, Unaligned: true}} {
		taken, refused := 0, 0
		for range 1000 {
			var pools [2]*Pool
			for i := range pools {
				_, ps := region(t, cfg, 2)
				pools[i] = ps[0]
				ps[0].Fill(make([]uint64, 5))
				ps[1].Fill(make([]uint64, 2))
			}
			if rng.IntN(3) == 0 {
				for _, p := range pools {
					p.u.Frame(4).magic++
				}
			}
			u := pools[0].u
			descs := make([]sys.XDPDesc, 6)
			for i := range descs {
				d := &descs[i]
				d.Addr, d.Len = descriptor(u, uint64(rng.IntN(6))*u.stride), 60
				switch rng.IntN(12) {
				case 0:
					d.Addr = rng.Uint64()
				case 1:
					d.Addr = uint64(rng.IntN(cfg.Frames+2))*u.stride + uint64(rng.IntN(600))
				case 2:
					d.Len = uint32(u.Usable() + rng.IntN(2))
				case 3:
					d.Len = ^uint32(0)
				case 4:
					d.Options = 1 // XDP_PKT_CONTD
				}
			}
			got, bytes := pools[0].ReceiveWhole(descs, nil)
			var want []*Header
			sum := uint64(0)
			for _, d := range descs {
				if d.Options != 0 {
					break
				}
				h, _ := pools[1].Receive(d.Addr, d.Len)
				if h == nil {
					refused++
					break
				}
				want, sum = append(want, h), sum+uint64(d.Len)
			}
			taken += len(want)
			if bytes != sum || !slices.EqualFunc(got, want, func(a, b *Header) bool {
				x, y := *a, *b
				x.magic, y.magic = 0, 0 // each region has its own
				return x == y
			}) {
				t.Fatalf("%+v\n%+v\nat once %d, %d bytes; one by one %d, %d bytes", cfg, descs, len(got), bytes, len(want), sum)
			}
			if pools[0].Faults != [NumFaults]uint64{} {
				t.Fatalf("at once counted %v: whoever receives the rest would count it again", pools[0].Faults)
			}
			if a, b := pools[0].Audit(), pools[1].Audit(); a != b {
				t.Fatalf("ledgers %v and %v", a, b)
			}
		}
		if taken < 500 || refused < 500 {
			t.Errorf("%+v: %d taken, %d refused: the descriptors are not what they should be", cfg, taken, refused)
		}
	}
}
