package flows

// sequence follows the TCP sequence numbers of one direction.
type sequence struct {
	next  uint32 // one past the highest byte seen
	isn   uint32 // of the SYN, if there was one
	known bool   // next is
	syn   bool   // isn is
	gaps  [4]gap // bytes below next that were not seen; empty ones have from == to
}

type gap struct{ from, to uint32 }

// verdict is what a segment brought.
type verdict struct {
	again uint32 // bytes that were seen before
	late  bool   // it only filled gaps
}

// see takes n sequence numbers, of which at least one, from seq on.
func (s *sequence) see(seq, n uint32) (v verdict) {
	end := seq + n
	if !s.known {
		s.next, s.known = end, true
		return v
	}
	ahead := int32(seq - s.next)
	switch {
	case ahead == 0:
		s.next = end
		return v
	case ahead > 0:
		s.open(gap{s.next, seq})
		s.next = end
		return v
	}
	beyond := uint32(max(0, int32(end-s.next)))
	filled := s.fill(seq, end-beyond)
	s.next += beyond
	v.again = n - beyond - filled
	v.late = v.again == 0 && beyond == 0
	return v
}

// open remembers a gap, instead of the oldest where there are too many.
func (s *sequence) open(g gap) {
	oldest := 0
	for i := range s.gaps {
		if s.gaps[i].from == s.gaps[i].to {
			s.gaps[i] = g
			return
		}
		if int32(s.gaps[i].from-s.gaps[oldest].from) < 0 {
			oldest = i
		}
	}
	s.gaps[oldest] = g
}

// fill takes bytes out of the gaps and returns how many were in one.
func (s *sequence) fill(from, to uint32) (filled uint32) {
	for i := range s.gaps {
		g := &s.gaps[i]
		lo, hi := from, to
		if int32(g.from-lo) > 0 {
			lo = g.from
		}
		if int32(g.to-hi) < 0 {
			hi = g.to
		}
		if g.from == g.to || int32(hi-lo) <= 0 {
			continue
		}
		filled += hi - lo
		rest := gap{hi, g.to}
		if g.to = lo; g.from == g.to { // nothing left in front
			*g = rest
		} else if rest.from != rest.to {
			s.open(rest)
		}
	}
	return filled
}

// TCP flags (RFC 9293, section 3.1).
const (
	fin = 1 << iota
	syn
	rst
)

// segment accounts a TCP packet: payload bytes of count segments, each of size bytes but for the last.
func (s *sequence) segment(n *Counts, seq uint32, flags uint8, payload, count, size int) {
	if flags&rst != 0 {
		return // its number says nothing about data
	}
	if flags&syn != 0 {
		if s.syn && s.isn == seq {
			n.Retransmits++
			n.RetransmitBytes += uint64(payload)
			return
		}
		*s = sequence{isn: seq, syn: true} // another connection, or the first
		s.see(seq, uint32(payload)+1)
		return
	}
	if payload == 1 && s.known && seq == s.next-1 && flags&fin == 0 {
		return // a keep-alive probe (RFC 9293, section 3.8.4)
	}
	if count <= 1 || s.known && seq == s.next {
		count, size = 1, payload // in order: one step, however many were merged
	}
	for i := range count {
		part := min(size, payload)
		payload -= part
		numbers := uint32(part)
		if i == count-1 {
			numbers += uint32(payload + int(flags&fin)) // FIN takes a number
			part += payload
		}
		if numbers == 0 {
			continue
		}
		v := s.see(seq, numbers)
		seq += numbers
		switch {
		case v.again > 0:
			n.Retransmits++
			n.RetransmitBytes += min(uint64(v.again), uint64(part))
		case v.late:
			n.Late++
		}
	}
}
