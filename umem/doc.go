// Package umem owns the memory that an AF_XDP socket receives into, and knows at any moment who holds which frame.
//
// A Umem is one region cut into chunks of equal size. Every chunk starts with a hidden [Header]: the first H bytes,
// H being the headroom given to XDP_UMEM_REG, which neither kernel nor driver nor device nor BPF program ever writes
// (Documentation/networking/af_xdp.rst; net/xdp/xsk_buff_pool.c adds headroom before XDP_PACKET_HEADROOM). Whoever has
// an address inside a chunk has its header by arithmetic alone: no lookup, no map, no lock.
//
//	chunk  [0, H)       hidden header: magic, references, state, links
//	       [H, H+256)   XDP_PACKET_HEADROOM; its last bytes are the metadata of the XDP program (see Meta)
//	       [H+256, ..)  packet, then tailroom
//
// Ownership. A frame is in exactly one [State]. All transitions but one belong to the goroutine of the queue whose
// [Pool] the frame calls home; the exception is the last release of a delivered frame, which any goroutine may do and
// which only pushes the frame on the pool's return queue. The sum over the states is the [Ledger]; what does not add
// up is Lost, and is never anything but 0 in a correct program.
//
// Footgun. The bytes of a frame are valid until its last reference is released, and not one instruction longer: then
// the kernel writes the next packet there. Releasing twice or reading after release panics with a [*MisuseError].
package umem
