// Package flows keeps a table of flows: who talks to whom, how much, since when, and what had to be sent again.
//
//	t, err := flows.New(nil)
//	go r.Run(ctx, xrx.BatchHandler(t.Take))
//	for _, f := range t.Top(10, flows.Bytes) { ... }
//
// A flow is one direction: VLAN, addresses, protocol, ports. What GRO merged counts as the packets that it was on the
// wire. Each queue has a table of its own, locked once per batch, and nothing is allocated per packet. A table is bounded:
// the flow that was silent for longest makes room, and is counted as evicted.
//
// Flows end by FIN or RST and a moment's silence, by being idle, or by eviction; Ended gives their records. Active gives
// records of those that go on. Each record covers what came since the one before, so that all records of a flow add up.
//
// Retransmits: bytes that this receiver had seen before. A segment that fills a gap is counted as late: the network
// reordered it, or lost it before it came here and it was sent again. Four gaps per flow are remembered.
package flows
