package xsk

import "xrx/internal/sys"

// Stats are the kernel's counters for this socket (XDP_STATISTICS), since it was opened. What they don't say: a fill
// address beyond the UMEM, a chunk posted twice, a redirect to a queue without a socket.
type Stats struct {
	RxDropped            uint64 `json:"rx_dropped"`               // no fill descriptor, or a packet too long for a chunk
	RxInvalidDescs       uint64 `json:"rx_invalid_descs"`         // fill addresses that the kernel refused
	RxRingFull           uint64 `json:"rx_ring_full"`             // packets lost because rx descriptors were not taken in time
	RxFillRingEmptyDescs uint64 `json:"rx_fill_ring_empty_descs"` // times the kernel found the fill ring empty
	TxInvalidDescs       uint64 `json:"tx_invalid_descs"`
	TxRingEmptyDescs     uint64 `json:"tx_ring_empty_descs"`
}

// Stats asks the kernel.
func (s *Socket) Stats() (Stats, error) {
	k, err := sys.XSKStatistics(s.fd)
	if err != nil {
		return Stats{}, s.failed("XDP_STATISTICS", err)
	}
	return Stats{k.Rx_dropped, k.Rx_invalid_descs, k.Rx_ring_full, k.Rx_fill_ring_empty_descs, k.Tx_invalid_descs, k.Tx_ring_empty_descs}, nil
}

// Add returns the sum of two sockets' counters.
func (a Stats) Add(b Stats) Stats {
	return Stats{a.RxDropped + b.RxDropped, a.RxInvalidDescs + b.RxInvalidDescs, a.RxRingFull + b.RxRingFull,
		a.RxFillRingEmptyDescs + b.RxFillRingEmptyDescs, a.TxInvalidDescs + b.TxInvalidDescs, a.TxRingEmptyDescs + b.TxRingEmptyDescs}
}

// Sub returns what was counted since b.
func (a Stats) Sub(b Stats) Stats {
	return Stats{a.RxDropped - b.RxDropped, a.RxInvalidDescs - b.RxInvalidDescs, a.RxRingFull - b.RxRingFull,
		a.RxFillRingEmptyDescs - b.RxFillRingEmptyDescs, a.TxInvalidDescs - b.TxInvalidDescs, a.TxRingEmptyDescs - b.TxRingEmptyDescs}
}

// Err returns the socket's pending error (SO_ERROR), clearing it: ENETDOWN while the interface is down, ENXIO or
// ENETDOWN after it was deleted.
func (s *Socket) Err() error { return sys.SocketError(s.fd) }
