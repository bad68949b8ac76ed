package gro

// Stats are an Engine's counters. They only grow (but for Held), and are written by the queue's goroutine alone.
// In == Merged + Started + sum(Normal), Started == sum(Flush) + Held, Out == sum(Normal) + sum(Flush) once Out is empty.
type Stats struct {
	In        uint64             // packets given to Receive
	Out       uint64             // packets handed over through Out, counted by ResetOut
	Merged    uint64             // packets that became a segment of an earlier one
	Started   uint64             // packets that were held as the first of a new P
	Coalesced uint64             // packets put into Out that stand for more than one
	Held      int                // packets held now
	Partial   uint64             // packets whose checksum was only the pseudo-header sum: a local sender's, not bad
	Normal    [NumReasons]uint64 // packets put into Out as they came, by reason
	Flush     [NumReasons]uint64 // held packets completed, by reason
}

// Add returns the sum of two engines' counters.
func (s Stats) Add(t *Stats) Stats {
	s.In += t.In
	s.Out += t.Out
	s.Merged += t.Merged
	s.Started += t.Started
	s.Coalesced += t.Coalesced
	s.Held += t.Held
	s.Partial += t.Partial
	for i := range s.Normal {
		s.Normal[i] += t.Normal[i]
		s.Flush[i] += t.Flush[i]
	}
	return s
}

// Ratio returns packets in per packet out, 1 when nothing came out yet.
func (s *Stats) Ratio() float64 {
	if s.Out == 0 {
		return 1
	}
	return float64(s.In-uint64(s.Held)) / float64(s.Out)
}
