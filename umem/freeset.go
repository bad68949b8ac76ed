package umem

import "math/bits"

// freeSet says which frames of a pool are free, a bit for each, and gives them out in the order of their addresses, round
// and round.
//
// The order is what it is for. Packets of different flows are merged, and released, in any order; on a stack of
// free frames nothing would ever put them in order again, and after a second the kernel would write, and the
// receiver read, at addresses as good as random. Then no processor guesses what is next: a third of what GRO costs
// (docs/adr/0021).
type freeSet struct {
	words  []uint64
	frames uint32 // numbers are below it
	at     int    // the word that frames are taken from next
}

// freeSpare is how many frames more than are out take their turns. The fewer, the more holes are in the order: GRO and
// consumers hold some for longer.
const freeSpare = 256

func newFreeSet(frames int) freeSet {
	return freeSet{words: make([]uint64, (frames+63)/64), frames: uint32(frames)}
}

// add puts a frame in, by its number in the pool. A number that there is not comes of a header that was overwritten: that
// frame is lost, and the ledger says so.
func (s *freeSet) add(i uint32) {
	if i < s.frames {
		s.words[i/64] |= 1 << (i % 64)
	}
}

func (s *freeSet) has(i uint32) bool { return s.words[i/64]>>(i%64)&1 != 0 }

// take takes out as many frames as there are slots, or all there are, and writes their addresses: number i is at
// (first+i)*stride. It returns how many. out says how many frames are not in the set; if there are fewer in it than slots,
// all words are gone through for nothing.
//
// Round and round are the first frames only, as many as are out and some more: what is not needed stays out of the
// caches.
func (s *freeSet) take(slots []uint64, out int, first, stride uint64) (n int) {
	// Among the first out+len(slots) frames at least len(slots) are in the set.
	words := min(len(s.words), (out+len(slots)+freeSpare+63)/64)
	if s.at >= words {
		s.at = 0
	}
	for looked := 0; n < len(slots) && looked <= words; looked++ { // the first word twice: it may have been begun
		w, from := s.words[s.at], first+uint64(s.at)*64
		for ; w != 0 && n < len(slots); n++ {
			slots[n] = (from + uint64(bits.TrailingZeros64(w))) * stride
			w &= w - 1
		}
		s.words[s.at] = w
		if w == 0 {
			if s.at++; s.at == words {
				s.at = 0
			}
		}
	}
	return n
}
