// Package vethnet builds the smallest network that an AF_XDP receiver can be
// run on: two fresh network namespaces, A and B, and a veth pair between them.
//
//	namespace A                      namespace B
//	a0  02:00:00:00:00:0a  <------>  b0  02:00:00:00:00:0b
//	    10.11.0.1/24                     10.11.0.2/24
//	    fd00:11::1/64                    fd00:11::2/64
//
// A is where frames are sent from, B where they are received. The pair is
// silent: no ARP, neighbour discovery, router solicitation, duplicate address
// detection or multicast listener report crosses it, so that a receiver sees
// exactly the frames that somebody sent on purpose. Static neighbours let
// ordinary sockets talk over it all the same.
//
// Both ends have checksum, TSO and GSO transmit offload off: a veth peer
// otherwise delivers frames longer than the MTU whose checksums were never
// filled in.
//
// The namespaces are anonymous (held by file descriptors alone) unless names
// are asked for, so that nothing is left behind when the process is killed.
// Building needs CAP_SYS_ADMIN and CAP_NET_ADMIN.
package vethnet
