package lab

import (
	"sync/atomic"
	"time"
)

// crossings is how many round trips are timed: a millisecond or so.
const crossings = 3000

// Crossing returns how long a cache line takes from one processor to another and back, in ns: whether they share a cache,
// which says more about what a packet costs that one of them wrote and the other reads than anything else does. A
// virtual machine's processors move, so it changes from minute to minute. Both should be idle. 0: there is no such processor.
func Crossing(a, b int) float64 {
	if a == b {
		return 0
	}
	var ball struct {
		_ [128]byte
		n atomic.Int64 // odd: the other side's turn
		_ [128]byte
	}
	there := make(chan bool, 1)
	go func() {
		ok := Pin(b) == nil // the thread ends with the goroutine
		if there <- ok; !ok {
			return
		}
		for i := int64(1); i < 2*crossings; i += 2 {
			for ball.n.Load() != i {
				if ball.n.Load() < 0 { // the other side could not be pinned
					return
				}
			}
			ball.n.Store(i + 1)
		}
	}()
	took := make(chan float64)
	go func() {
		ok := Pin(a) == nil
		if !<-there || !ok {
			ball.n.Store(-1)
			took <- 0
			return
		}
		began := time.Now()
		for i := int64(0); i < 2*crossings; i += 2 {
			ball.n.Store(i + 1)
			for ball.n.Load() != i+2 {
			}
		}
		took <- float64(time.Since(began).Nanoseconds()) / crossings
	}()
	return <-took
}
