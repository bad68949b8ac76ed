// Package steer spreads what one goroutine receives over several workers: what receive packet steering (RPS) is to the
// kernel (Documentation/networking/scaling.rst).
//
// A producer, the goroutine of a queue, has a backlog for each worker: a ring with one writer and one reader, of fixed
// size. It chooses the worker by the packet's flow hash, so a flow is always with the same worker and keeps its order;
// with a symmetric hash both directions of a connection meet there. A full backlog refuses: the producer counts that, and
// goes on. So a slow worker costs its own flows packets, and nobody else waits.
//
//	producer 0 --backlog--> worker 0 <--backlog-- producer 1
//	           --backlog--> worker 1 <--backlog--
//
// Handing over costs the producer a store into the ring for each item; the ring's index is published, and a sleeping
// worker woken, at most once per worker and Flush. Nothing is allocated, and no lock is shared with a producer.
//
// The package knows nothing of packets: items are anything.
package steer
