// Package xrx receives packets from a network interface with AF_XDP: from the driver into this process's memory, past
// the kernel's network stack.
//
//	wire -> XDP program -> UMEM frame -> rx ring -> Queue.Poll -> GRO -> Handler -> free set -> fill ring -> kernel
//
// Open prepares everything, Run receives until its context is done, Close gives everything back:
//
//	r, err := xrx.Open("eth1", nil)
//	if err != nil { ... }
//	defer r.Close()
//	err = r.Run(ctx, xrx.Handler(func(p xrx.Packet) { fmt.Println(p.Len(), p.Meta().Hash) }))
//
// Ownership. A [Handler]'s packet is released when the handler returns, unless it called Retain. A [BatchHandler] owns
// its packets until it calls Release, on any goroutine. After the last Release the kernel writes the next packet into
// the same bytes: a Packet used after that panics. Frames that consumers hold are frames that the kernel can't fill;
// hold on to too many for too long and packets are lost, by name (fill ring short, rx_fill_ring_empty_descs).
//
// Truth. Mode says what was negotiated, not what was asked for. Snapshot counts every packet that was not delivered
// under a reason, and walks every frame: what does not add up is Lost in the ledger, and is 0.
package xrx
