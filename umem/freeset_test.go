package umem

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever the order in which frames are released, they are posted in the order of their addresses, round and round.
func TestFramesArePostedInTheOrderOfTheirAddresses(t *testing.T) {
	for _, c := range []struct {
		frames, pools int
		cfg           Config
	}{
		{frames: 8, pools: 1},
		{frames: 64, pools: 1},
		{frames: 200, pools: 1},
		{frames: 200, pools: 3},
		{frames: 200, pools: 1, cfg: Config{ChunkSize: 4096}},
		{frames: 200, pools: 3, cfg: Config{ChunkSize: 2500, Unaligned: true}},
	} {
		c.cfg.Frames = c.frames
		_, ps := region(t, c.cfg, c.pools)
		for _, p := range ps {
			taken := take(t, p, p.Total())
			for range 3 {
				rand.Shuffle(len(taken), func(i, k int) { taken[i], taken[k] = taken[k], taken[i] })
				for _, h := range taken {
					p.Drop(h)
				}
				taken = take(t, p, p.Total())
				if !slices.IsSortedFunc(taken, func(a, b *Header) int { return a.Index() - b.Index() }) || taken[0].Index() != int(p.lo) {
					t.Errorf("%+v: posted in another order", c)
				}
			}
			for _, h := range taken {
				p.Drop(h)
			}
			mustBalance(t, p)
		}
	}
}

// Against a set that is a slice of bools: what is taken was free, each once, and all that is free is found, wherever the
// last search ended.
func TestTheFreeSetGivesOutEveryFrameOnce(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, frames := range []int{1, 63, 64, 65, 127, 500, 2000} {
		s, free, out := newFreeSet(frames), make([]bool, frames), []int{}
		for i := range frames {
			s.add(uint32(i))
			free[i] = true
		}
		s.add(uint32(frames)) // no such frame
		left := frames
		for range 2000 {
			slots := make([]uint64, rnd.IntN(frames+2))
			n := s.take(slots, len(out), 7, 1000)
			if n != min(left, len(slots)) {
				t.Fatalf("%d frames: took %d, want %d of %d", frames, n, len(slots), left)
			}
			for _, a := range slots[:n] {
				i := int(a/1000) - 7
				if a%1000 != 0 || !free[i] || s.has(uint32(i)) {
					t.Fatalf("%d frames: took %d, which was not free, or still is", frames, i)
				}
				free[i] = false
				out = append(out, i)
			}
			rnd.Shuffle(len(out), func(i, k int) { out[i], out[k] = out[k], out[i] })
			back := rnd.IntN(len(out) + 1)
			for _, i := range out[:back] {
				s.add(uint32(i))
				free[i] = true
			}
			out = out[back:]
			left += back - n
		}
	}
}

// Where few frames are out, the others stay where they are.
func TestFramesThatAreNotNeededAreLeftAlone(t *testing.T) {
	s, slots := newFreeSet(10_000), make([]uint64, 64)
	for i := range uint32(10_000) {
		s.add(i)
	}
	most := uint64(0)
	for range 1000 {
		s.take(slots, 0, 0, 1)
		for _, a := range slots {
			most = max(most, a)
			s.add(uint32(a))
		}
	}
	if want := uint64(64 + freeSpare); most >= want+64 {
		t.Errorf("frame %d was taken, of %d that are needed", most, want)
	}
}

// A header whose number was overwritten leads to no other frame.
func TestAFrameIsFreeWhereItLies(t *testing.T) {
	for _, unaligned := range []bool{false, true} {
		_, ps := region(t, Config{Frames: 16, Unaligned: unaligned}, 2)
		p := ps[1]
		hs := take(t, p, 3)
		for _, index := range []uint32{1, 8, 9, 1 << 30} {
			hs[1].index = index
			if got := p.number(hs[1]); got != 1 {
				t.Errorf("index %d: number %d, want 1", index, got)
			}
		}
		hs[1].index = 9
		for _, h := range hs {
			p.Drop(h)
		}
		mustBalance(t, p)
	}
}

func BenchmarkFill(b *testing.B) {
	for _, share := range []int{1, 2, 16} {
		b.Run(map[int]string{1: "all free", 2: "every other", 16: "one in 16"}[share], func(b *testing.B) {
			s := newFreeSet(4096)
			slots, n := make([]uint64, 64), 0
			for i := 0; i < 4096; i += share {
				s.add(uint32(i))
			}
			for b.Loop() {
				for _, a := range slots[:s.take(slots, 4096-4096/share, 0, 2048)] {
					s.add(uint32(a / 2048))
					n++
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/frame")
		})
	}
}
