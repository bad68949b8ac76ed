package xrx

// Consumer is what Run hands packets to: a Handler, a BatchHandler or a *Mux. With several queues it is called from several
// goroutines at once, one per queue (Config.Threads: fewer); packets of one queue arrive in order. With
// Config.Workers it is called from that many goroutines, and packets of one flow (TCP, UDP: both directions of a connection)
// always on the same one, in order.
//
// A panic of a consumer's is caught and counted, and costs no more than the packets that it was given
// (docs/CONSUMERS.md); Config.PanicFatal makes it end Run.
type Consumer interface{ consumer() }

// Handler is called with each packet, which is released when it returns unless the handler retained it. If it panics,
// its packet is released and the next one follows.
type Handler func(Packet)

// BatchHandler is called with all packets of a poll, at most Budget at a time. It owns each of them until it releases
// it, on any goroutine. The slice itself is only valid during the call.
//
// If it panics, one reference is released of each packet that the slice still names and that has not been released
// yet. So one that gives packets to others, and may panic afterwards, takes them out of the slice when it does:
// batch[i] = Packet{}.
type BatchHandler func([]Packet)

func (Handler) consumer()      {}
func (BatchHandler) consumer() {}
