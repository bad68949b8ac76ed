// Package fanout writes packets to one or several io.Writers, as raw frames with their length in front or as pcap
// streams: to a pipe, a socket, a process of another program.
//
//	f, err := fanout.New([]io.Writer{a, b}, &fanout.Config{Mode: fanout.Hash})
//	err = r.Run(ctx, xrx.BatchHandler(f.Take))
//	err = f.Close()
//
// With several writers each packet goes to one of them, chosen as PACKET_FANOUT chooses a socket (packet(7)): by flow
// hash, in turn, or by rx queue; or to all. Each writer has a goroutine and a backlog of its own: one that is slow loses
// its own packets, counted as "backlog", and one that fails loses them as "write"; the others notice nothing.
package fanout
