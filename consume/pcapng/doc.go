// Package pcapng writes what a receiver delivers to pcapng files: nanosecond timestamps, the rx queue of each packet,
// rotation by size and time, a ring of files, and at each file's end what came, what was lost and who lost it.
//
//	w, err := pcapng.Create("eth1.pcapng", &pcapng.Config{Iface: "eth1", RotateSize: 100e6, Files: 10, Snapshot: r.Snapshot})
//	err = r.Run(ctx, xrx.BatchHandler(w.Take))
//	err = w.Close()
//
// Packets are copied on the queue's goroutine, and their frames are free again at once; a goroutine of the Writer's own
// formats and writes. A disk that is slow fills the backlog, and then packets are lost, counted as "backlog". A disk that
// is full, or fails, is said once (OnError, Err); from then on packets are counted as "write", and the receiver goes on.
//
// A packet's time is the device's where the metadata has one, otherwise the clock's, read once per batch.
package pcapng
