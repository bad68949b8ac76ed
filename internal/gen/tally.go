package gen

import (
	"errors"
	"fmt"
)

// Tally checks a stream as it is received, one frame at a time. It is used by
// one goroutine; the zero value is ready.
type Tally struct {
	Frames     uint64 // good frames, each counted once
	Bytes      uint64 // of them
	Duplicates uint64 // frames that had come before
	Reordered  uint64 // frames that came after a later one of their flow
	Foreign    uint64 // frames of somebody else
	Damaged    uint64
	FirstError error // of the first damaged frame

	seen   []uint64 // bit n%64 of word n/64: frame n has come
	latest map[uint32]uint64
	end    uint64 // one more than the highest sequence number
}

// maxTally bounds the memory of a Tally: 2^33 frames are 1 GiB of bits.
const maxTally = 1 << 33

// Add takes one received frame.
func (t *Tally) Add(frame []byte) {
	seq, flow, err := Check(frame)
	if err == nil && seq >= maxTally {
		err = fmt.Errorf("frame %d: sequence number beyond %d", seq, uint64(maxTally))
	}
	switch {
	case errors.Is(err, ErrForeign):
		t.Foreign++
		return
	case err != nil:
		t.Damaged++
		if t.FirstError == nil {
			t.FirstError = err
		}
		return
	}
	word, bit := seq/64, uint64(1)<<(seq%64)
	if word >= uint64(len(t.seen)) {
		t.seen = append(t.seen, make([]uint64, max(word+1-uint64(len(t.seen)), uint64(len(t.seen))))...)
	}
	if t.seen[word]&bit != 0 {
		t.Duplicates++
		return
	}
	t.seen[word] |= bit
	t.Frames++
	t.Bytes += uint64(len(frame))
	t.end = max(t.end, seq+1)
	if t.latest == nil {
		t.latest = map[uint32]uint64{}
	}
	if latest, ok := t.latest[flow]; ok && seq < latest {
		t.Reordered++
		return
	}
	t.latest[flow] = seq
}

// Missing returns how many of the frames 0..total-1 have not come. A total of 0
// stands for the highest sequence number that came, plus one.
func (t *Tally) Missing(total uint64) uint64 {
	if total == 0 {
		total = t.end
	}
	return total - min(total, t.Frames)
}

// Flows returns the number of flows of which a frame has come.
func (t *Tally) Flows() int { return len(t.latest) }

// Err returns nil when exactly the frames 0..total-1 came, each once, undamaged
// and in order within its flow; otherwise it says what is wrong.
func (t *Tally) Err(total uint64) error {
	missing := t.Missing(total)
	if missing == 0 && t.end <= total && t.Duplicates+t.Reordered+t.Damaged == 0 {
		return nil
	}
	err := fmt.Errorf("of %d frames %d missing, %d duplicate, %d out of order, %d damaged, %d beyond the last",
		total, missing, t.Duplicates, t.Reordered, t.Damaged, t.end-min(t.end, total))
	if t.FirstError != nil {
		err = fmt.Errorf("%w; the first damaged: %w", err, t.FirstError)
	}
	return err
}
