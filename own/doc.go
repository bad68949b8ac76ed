// Package own is a tree of who holds what, for consumers that keep packets: what talloc is to memory, and parent
// references are to socket buffers.
//
//	capture := own.New("capture", 256)          // a root: may hold 256 frames
//	flow := capture.Owner("10.0.0.1:80", 0)     // below it, without a limit of its own
//	p, err := flow.Hold(packet)                 // a reference of the tree's
//	part, err := p.Split(54, 54+1448)           // shares p's bytes: one segment of a merged packet
//	writer.Adopt(part)                          // moves to another owner
//	flow.Release()                              // everything below goes; the bytes of part stay until it does
//
// A Node is an owner, or a packet, or a piece of one. All of them can have others below them, and a node goes with
// whatever is above it unless somebody else has adopted it before. Nodes that share bytes hold them together: when the
// last of them goes, on whatever goroutine that is, destructors run, once, and the reference is given back.
//
// A limit is of frames below a node, each counted once however many share it. What would exceed it is refused with a
// *LimitError, and nothing has changed. A node used or released after its release, or moved below itself, panics with a
// *MisuseError that says which it was.
//
// Any goroutine may use any node. All trees share one lock: this is not for the receive path, but for what is kept
// beside it. No clock is read unless Tick asks.
package own
