package xrx

// Consumer is what Run hands packets to: a Handler or a BatchHandler. With several queues it is called from several
// goroutines at once, one per queue (Config.Threads: fewer); packets of one queue arrive in order.
type Consumer interface{ consumer() }

// Handler is called with each packet, which is released when it returns unless the handler retained it.
type Handler func(Packet)

// BatchHandler is called with all packets of a poll, at most Budget at a time. It owns each of them until it releases
// it, on any goroutine. The slice itself is only valid during the call.
type BatchHandler func([]Packet)

func (Handler) consumer()      {}
func (BatchHandler) consumer() {}
