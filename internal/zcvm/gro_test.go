package zcvm_test

import (
	"testing"
	"time"

	"xrx"
	"xrx/gro"
)

// TCP streams coalesce, and what was merged is, taken apart again, what was sent.
func TestTCPStreamsCoalesceOverZeroCopyFrames(t *testing.T) {
	w := zeroCopyWire(t)
	const total = 8000
	for name, cfg := range map[string]gro.Config{"to the end of a poll": {}, "for 2 ms": {Flush: 2 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			s := w.stream()
			s.TCP, s.Flows, s.Burst, s.Sizes = true, 4, 16, []int{1514}
			r := w.open(t, xrx.Config{GRO: &cfg})
			x := newExchange(t, w, s)
			packets, longest := 0, 0
			var splitter xrx.Splitter
			frame := make([]byte, 0, 2048)
			running := run(t, r, xrx.Handler(func(p xrx.Packet) {
				packets++
				longest = max(longest, p.Count())
				if p.Count() > 1 && (p.GSOSize() != 1448 || p.Len() != 66+1448*p.Count()) {
					t.Errorf("%d segments of %d make %d bytes", p.Count(), p.GSOSize(), p.Len())
				}
				for parts := range p.ResegmentWith(&splitter) {
					frame = frame[:0]
					for _, b := range parts {
						frame = append(frame, b...)
					}
					x.receive(frame)
				}
			}))
			x.send(total)
			running.end()
			x.done()
			q := r.Snapshot().Queues[0]
			if packets > total/4 || q.OutSegments != total || q.Ledger.Lost != 0 {
				t.Errorf("%d packets with %d segments, the longest of %d; %v; %v", packets, q.OutSegments, longest, q.GRO, q.Ledger)
			}
			t.Logf("%d segments in %d packets (%.1f each, at most %d), %.1f a poll", total, packets, float64(total)/float64(packets), longest, float64(q.Packets)/float64(q.Polls))
		})
	}
}
