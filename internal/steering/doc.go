// Package steering knows how network cards choose the rx queue of a packet: flow rules (ntuple filters) first, then the
// RSS table. It reads and writes rules as text and as the kernel's structure, makes tables, and tells what reaches
// queues that nobody has bound. It touches no interface.
package steering
