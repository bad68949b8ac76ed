package flows

import (
	"math/rand/v2"
	"testing"

	"xrx/internal/testnet"
)

// oracle remembers every number that was seen, from base on.
type oracle struct {
	base uint32
	seen []bool
}

// see is what sequence.see must say; the lowest of more than four gaps is forgotten.
func (o *oracle) see(from, to int) (again, filled, beyond int) {
	for i := from; i < to; i++ {
		switch {
		case i >= len(o.seen):
			for len(o.seen) <= i {
				o.seen = append(o.seen, false)
			}
			beyond++
		case o.seen[i]:
			again++
		default:
			filled++
		}
		o.seen[i] = true
	}
	for {
		gaps, lowest := 0, -1
		for i, s := range o.seen {
			if !s && (i == 0 || o.seen[i-1]) {
				if gaps++; lowest < 0 {
					lowest = i
				}
			}
		}
		if gaps <= 4 {
			return again, filled, beyond
		}
		for i := lowest; !o.seen[i]; i++ {
			o.seen[i] = true
		}
	}
}

func TestSequencesAreFollowedAsByOneWhoRemembersEveryByte(t *testing.T) {
	r := rand.New(rand.NewPCG(testnet.Seed(t), 1))
	counts := [3]int{}
	for range 300 {
		o := oracle{base: r.Uint32()}
		var s sequence
		s.see(o.base, 1)
		o.see(0, 1)
		for range 60 {
			from := max(1, len(o.seen)-40+r.IntN(60))
			to := from + 1 + r.IntN(12)
			again, filled, beyond := o.see(from, to)
			got := s.see(o.base+uint32(from), uint32(to-from))
			if int(got.again) != again || got.late != (again == 0 && beyond == 0) {
				t.Fatalf("%d to %d: %+v, want %d again, %d filled, %d beyond", from, to, got, again, filled, beyond)
			}
			if s.next != o.base+uint32(len(o.seen)) {
				t.Fatalf("next %d, want %d", s.next-o.base, len(o.seen))
			}
			counts[0], counts[1], counts[2] = counts[0]+again, counts[1]+filled, counts[2]+beyond
		}
	}
	if min(counts[0], counts[1], counts[2]) < 1000 {
		t.Errorf("again, filled, beyond: %v: too little to say anything", counts)
	}
}

func TestSegmentsCountAsRetransmittedOrLate(t *testing.T) {
	type step struct {
		seq         uint32
		flags       uint8
		payload     int
		segs, size  int
		retransmits uint64
		bytes       uint64
		late        uint64
		what        string
	}
	const ack = 16
	isn := uint32(1<<32 - 2000) // the numbers wrap on the way
	var s sequence
	var n Counts
	for _, c := range []step{
		{isn, syn, 0, 1, 0, 0, 0, 0, "SYN"},
		{isn, syn, 0, 1, 0, 1, 0, 0, "SYN again"},
		{isn + 1, ack, 1000, 1, 0, 1, 0, 0, "data"},
		{isn + 1001, ack, 0, 1, 0, 1, 0, 0, "pure ACK"},
		{isn + 1001, ack, 3000, 3, 1000, 1, 0, 0, "three merged, in order"},
		{isn + 2001, ack, 1000, 1, 0, 2, 1000, 0, "the second of them again"},
		{isn + 6001, ack, 1000, 1, 0, 2, 1000, 0, "a gap of two"},
		{isn + 4001, ack, 1000, 1, 0, 2, 1000, 1, "the first half of it"},
		{isn + 5001, ack, 2000, 2, 1000, 3, 2000, 2, "two merged: the other half, and one again"},
		{isn + 7000, ack, 1, 1, 0, 3, 2000, 2, "keep-alive"},
		{isn + 6501, ack, 1000, 1, 0, 4, 2500, 2, "half again, half new"},
		{isn + 7501, ack | fin, 100, 1, 0, 4, 2500, 2, "data and FIN"},
		{isn + 7601, ack | fin, 0, 1, 0, 5, 2500, 2, "FIN again"},
		{5, rst, 0, 1, 0, 5, 2500, 2, "RST of any number"},
		{777, syn, 0, 1, 0, 5, 2500, 2, "another connection"},
		{778, ack, 100, 1, 0, 5, 2500, 2, "its data"},
	} {
		s.segment(&n, c.seq, c.flags, c.payload, c.segs, c.size)
		if n.Retransmits != c.retransmits || n.RetransmitBytes != c.bytes || n.Late != c.late {
			t.Errorf("%s: %+v, want %d of %d bytes, %d late", c.what, n, c.retransmits, c.bytes, c.late)
		}
	}
}
