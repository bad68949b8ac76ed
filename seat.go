package xrx

import (
	"runtime"
	"sync/atomic"
)

// seated counts the pollers of this process that keep their seat in Go's scheduler (a P) while they sleep. It saves the
// runtime's monitor a fifth of a processor (docs/adr/0008), but what keeps a seat takes it from others: there must be
// one left for everybody else.
var seated atomic.Int32

// takeSeat decides whether the poller may keep its seat: workers need one each.
func (p *poller) takeSeat() {
	p.stays = int(seated.Add(1))+max(1, p.cfg.Workers) <= runtime.GOMAXPROCS(0)
	if !p.stays {
		seated.Add(-1)
	}
}

func (p *poller) leaveSeat() {
	if p.stays {
		seated.Add(-1)
		p.stays = false
	}
}
