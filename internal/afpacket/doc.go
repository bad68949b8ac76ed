// Package afpacket sends and receives raw Ethernet frames through packet(7)
// sockets: Sender writes batches with sendmmsg(2) at a chosen pace, Reader
// returns what an interface receives together with the virtio-net header that
// tells checksum state and segment size.
//
// Sockets belong to the network namespace of the thread that opens them.
// Opening needs CAP_NET_RAW.
package afpacket
