package netdev

// Squeeze leaves the watch's socket the least buffer that the kernel gives.
func (w *Watch) Squeeze() error { return w.socket.SetReceiveBufferSize(1, false) }

// Overruns is how often it could not hold what happened.
func (w *Watch) Overruns() uint64 { return w.overruns.Load() }
