// Package gro joins packets of one flow that arrived one after the other into one packet, by the rules of the Linux
// kernel (net/core/gro.c, net/ipv4/{af_inet,tcp_offload,udp_offload}.c, net/ipv6/ip6_offload.c), over the frames of an
// AF_XDP receiver. Nothing is copied and nothing is allocated: a coalesced packet is its first frame with completed
// headers plus a chain of segments, linked through the frames' hidden headers.
//
// An [Engine] belongs to one queue and one goroutine. It has no socket and no clock: packets come in through Receive,
// time through EndPoll, and what is to be delivered waits in Out, in order.
//
//	Receive -> parse -> verify checksum -> find the flow's held packet P -> one outcome:
//	    merged   the packet became a segment of P (P completes if the packet was final)
//	    held     it starts a new P (an old P of the flow was completed first)
//	    normal   it goes to Out as it is (an old P of the flow was completed first)
//	EndPoll -> completes what is due
//
// Every packet ends in exactly one of the three and every P ends once, each with a counted [Reason]:
// In == Merged + Started + sum(Normal) and Started == sum(Flush) + Held, at any moment.
//
// The ways through Receive, from the shortest: a packet that is what the template of its flow says is merged at once
// (template.go); an ordinary TCP or UDP packet is parsed in one pass (plain.go); anything else is parsed with care
// (parse.go, tcp.go, udp.go); then receive decides (receive.go, match.go). The shorter ways accept only what the longer
// ones would treat alike.
//
// A flow is what the kernel calls one: equal Ethernet header, VLAN tags, addresses, protocol, ports, and for IPv6 flow
// label and extension headers; for tunnels (IPv4 or IPv6 in IPv4 or IPv6, one level) the same of the outer header.
// Per flow the order of bytes never changes: P is complete, and in Out, before a later packet of its flow is.
//
// Where this engine is deliberately not the kernel's:
//   - A packet that can't be merged for its own sake (IP options, fragment, bad checksum, broken header, zero UDP
//     checksum) but whose ports can be read completes P first. The kernel leaves P held and delivers the packet ahead
//     of data that came before it.
//   - Flows are found by an own keyed hash in constant time and the number of flows held is a setting. The kernel holds
//     8 per bucket, and on a device without a hardware hash it has one bucket.
//   - The completed packet carries a real TCP or UDP checksum, finished from the sums of its segments. The kernel
//     leaves the pseudo-header's sum there.
//   - A packet whose EtherType says IPv6 and whose first byte does not is delivered as it is (W3). The kernel holds it
//     as a flow of its own.
//   - GRE, VXLAN and Geneve are delivered as they are, and say so by reason.
//
// The hash that an XDP program or the device left in the frame's metadata is not used to find a flow: whether it
// covers the ports can differ between packets of one flow (options, fragments), and a flow under two hashes would lose
// its order. Computing a keyed hash from words that are in registers anyway costs less than the cache line that the
// metadata is in.
package gro
