package main

import (
	"fmt"
	"io"

	"xrx/internal/backlog"
	"xrx/internal/capture"
	"xrx/stats"
	"xrx/umem"
)

// dumpSummary is what became of the packets, for the end of a dump.
type dumpSummary struct {
	received, delivered uint64 // packets on the wire; packets that a consumer got
	segments            uint64 // what was delivered, as packets on the wire
	kernel, xrx, output uint64 // dropped, by whom: packets on the wire
	cutOff              uint64 // packets that the capture file did not have whole
	unshown             uint64 // delivered packets for which output had no room
	ledger              umem.Ledger
	replay              bool
}

func liveSummary(began, last stats.Snapshot, d backlog.Dropped) dumpSummary {
	r := stats.NewReport("summary", "", stats.Mode{}, began.At, began, last)
	return dumpSummary{received: r.Rx.Packets, delivered: r.Delivered.Packets, segments: r.Delivered.Segments,
		kernel: r.Kernel.Lost(), xrx: r.Dropped() - r.Kernel.Lost(), unshown: d.Packets, output: d.Wire, ledger: r.Ledger}
}

// counts are what a file says of the capture so far.
func (s dumpSummary) counts() capture.Counts {
	return capture.Counts{Received: s.received, Kernel: s.kernel, Xrx: s.xrx, Output: s.output}
}

// lost is how many packets on the wire did not come through.
func (s dumpSummary) lost() uint64 { return s.kernel + s.xrx + s.output }

func (s dumpSummary) print(w io.Writer, out *dumpOutput) {
	verb := "received"
	if s.replay {
		verb = "read"
	}
	ratio := 1.0
	if s.delivered > 0 {
		ratio = float64(s.segments) / float64(s.delivered)
	}
	what := "printed"
	if out.pcap != nil {
		what = "written"
	}
	fmt.Fprintf(w, "%s packets %s, %s delivered (%.1f to 1), %s %s\n", stats.Count(s.received), verb, stats.Count(s.delivered), ratio,
		stats.Count(out.shown), what)
	if s.cutOff > 0 {
		fmt.Fprintf(w, "%s packets are cut off in the file: they can't be merged\n", stats.Count(s.cutOff))
	}
	if !s.replay {
		fmt.Fprintf(w, "dropped %s: %s by the kernel, %s by xrx, %s because output was too slow", stats.Count(s.lost()),
			stats.Count(s.kernel), stats.Count(s.xrx), stats.Count(s.output))
		if s.unshown > 0 {
			fmt.Fprintf(w, " (%s delivered packets; more --buffer, or -w)", stats.Count(s.unshown))
		}
		fmt.Fprintln(w)
	}
	if s.ledger.Lost != 0 {
		fmt.Fprintf(w, "frames %s\n", s.ledger)
	}
}
