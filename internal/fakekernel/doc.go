// Package fakekernel plays the kernel's half of an AF_XDP socket over Go memory, so that everything above the socket
// is tested without root and under the race detector: it takes chunk addresses off a fill ring, writes packets where
// the kernel writes them, and produces rx descriptors. It follows net/xdp/xsk.c, xsk_buff_pool.c and xsk_queue.h
// (v6.18) in copy mode, including what they do not do: they neither count nor refuse an address beyond the UMEM, a
// misaligned one, or the same one twice.
//
//	mem, pools := fakekernel.NewUmem(t, umem.Config{Frames: 64}, 1)
//	k := fakekernel.New(mem, 64)
//	fill := fillring.New(ring.NewProducer(k.Fill), pools[0])
//	rx := ring.NewConsumer(k.Rx)
//	fill.Refill()
//	k.Receive(fakekernel.Packet{Data: frame}) // one step at a time, or
//	stop := k.Start(packets)                  // on a goroutine of its own
//
// Beyond the kernel's own behaviour it can do what a broken driver would: see Fault.
package fakekernel
