package fakekernel

import (
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
)

// Running is a kernel that runs on a goroutine of its own.
type Running struct {
	stop atomic.Bool
	done chan struct{}
	once sync.Once
}

// Start receives packets on a goroutine of its own until they run out or it is stopped. lossless makes it wait for a
// chunk and for room in the rx ring instead of dropping, as a sender at the receiver's pace would. batch is how many
// packets are published at once, as one NAPI poll does.
func (k *Kernel) Start(packets iter.Seq[Packet], lossless bool, batch int) *Running {
	r := &Running{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer k.Flush()
		n := 0
		for p := range packets {
			need := max(1, (len(p.Data)+k.FrameSize()-1)/k.FrameSize())
			for lossless && !k.Ready(need) {
				k.Flush()
				if r.stop.Load() {
					return
				}
				runtime.Gosched()
			}
			if r.stop.Load() {
				return
			}
			k.Step(p)
			if n++; n%batch == 0 {
				k.Flush()
			}
		}
	}()
	return r
}

// Done is closed when the last packet has been received and published.
func (r *Running) Done() <-chan struct{} { return r.done }

// Stop ends it and waits. Afterwards the Kernel may be stepped and its Counters read.
func (r *Running) Stop() {
	r.once.Do(func() { r.stop.Store(true) })
	<-r.done
}
