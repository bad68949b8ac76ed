package xrx

import "xrx/umem"

// counters are a queue's own counts. Their only writer is the queue's goroutine; others get a copy from it.
type counters struct {
	polls    uint64 // calls of Poll that found something
	packets  uint64 // whole packets taken off the rx ring, with no refused descriptor
	bytes    uint64 // bytes of packets that went on, from the Ethernet header
	squeezes uint64 // polls that used up their budget: more was waiting
	sleeps   uint64 // system calls that waited for packets
	wakeups  uint64 // system calls that told the driver about new frames

	outPackets, outSegments, outBytes uint64 // delivered; segments as they were on the wire

	overQuota uint64 // packets dropped because the consumer held as much as it may
	cutChains uint64 // multi-buffer packets dropped because a buffer was missing or wrong
}

func (c *counters) count(n, budget int) {
	if n == 0 {
		return
	}
	c.polls++
	if n == budget {
		c.squeezes++
	}
}

func (c *counters) delivered(h *umem.Header) {
	c.outPackets++
	c.outSegments += uint64(h.Segs)
	c.outBytes += uint64(h.Total)
}
