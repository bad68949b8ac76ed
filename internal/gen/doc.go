// Package gen makes traffic whose every frame can be checked by whoever
// receives it, and sends it with one of three engines:
//
//	live    BPF_PROG_RUN with live frames: an XDP program writes and redirects
//	        each frame inside the kernel. Millions per second, no pacing.
//	xsk     AF_XDP transmit through github.com/asavie/xdp, paced on request.
//	packet  AF_PACKET with sendmmsg, paced on request. Works everywhere.
//
// # Content
//
// A Stream is a number of UDP or TCP flows served in turn. Frame n of a stream
// carries sequence number n, counted from 0 over all flows. The flow follows
// from the ports: source 10000 + flow mod 50000, destination 9000 + flow/50000.
// TCP flows are valid in-order streams that GRO may merge: the TCP sequence
// number advances by the payload, the IPv4 identification by one a frame;
// acknowledgement, window and timestamp option stay the same.
//
// The L4 payload holds, big-endian:
//
//	payload of 16 bytes or more            payload of 6..15 bytes
//	[0:8)   sequence number                [0:6)  its low 48 bits
//	[8:12)  flow                           [6:)   pattern, shift 0
//	[12]    shift
//	[13:16) "xrx"                          stamped, 22 bytes or more: "xrt"
//	[16:)   pattern                        [16:22) stamp, [22:) pattern
//
// A stamp is the low 48 bits of CLOCK_MONOTONIC in ns: of the moment at which
// the frame's turn was, by the rate asked for, not of the later one at which
// it was sent. So what a frame waits in the sender counts, and a stall shows
// in every frame that it delayed (no coordinated omission). Without a rate,
// and with live frames, it is the moment at which the frame was written.
//
// Byte i of the pattern is entry i+shift of a fixed pseudo-random table. The
// shift is the low byte of the sequence number where the frame is written in
// user space, and 0 where the kernel writes it (live).
//
// Check verifies one frame, a Tally a whole stream of them.
package gen
