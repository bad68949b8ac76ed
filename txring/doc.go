// Package txring sends packets from the frames that they were received into: nothing is copied. A [Sender] takes what
// a queue has in its hands apart into the packets of the wire, posts their frames to a tx ring, makes the kernel send,
// and takes the frames back from the completion ring.
//
//	received, held --Send--> sending --tx ring--> kernel --completion ring--> Reap --> free
//
// Policy. Packets go out in the order in which they were given. What can't be sent is dropped at once, by a counted
// [Reason]: nothing waits but in the tx ring, so that a slow or dead interface holds as many frames as the two rings
// have descriptors, and the receiving side never starves for it. In copy mode the kernel sends within the system call,
// a batch of packets each (net/xdp/xsk.c, __xsk_generic_xmit, v6.18): Flush calls until all is sent or nothing moves.
// In zero-copy mode the driver sends by itself, and is told when it asks to be.
//
// What is changed on the way, and nothing else: a checksum that a local sender left partial is completed, since the
// packet is about to go on a wire; a VLAN tag that the device took off is put back; the MACs change places where that
// is asked for.
package txring
