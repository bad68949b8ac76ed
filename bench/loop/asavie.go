package main

import (
	"errors"
	"net"
	"sync/atomic"

	"github.com/asavie/xdp"
)

// How long a loop waits before it looks whether it is to end, milliseconds.
const loopWait = 100

// asavieLoop is the loop of github.com/asavie/xdp's examples, over as much memory as the others have.
func asavieLoop(o options, stop *atomic.Bool) (c counts, err error) {
	link, err := net.InterfaceByName(o.iface)
	if err != nil {
		return c, err
	}
	p, err := xdp.NewProgram(1)
	if err != nil {
		return c, err
	}
	defer p.Close()
	s, err := xdp.NewSocket(link.Index, 0, &xdp.SocketOptions{NumFrames: 4096, FrameSize: 2048,
		FillRingNumDescs: 2048, RxRingNumDescs: 2048, CompletionRingNumDescs: 64, TxRingNumDescs: 64})
	if err != nil {
		return c, err
	}
	if err := p.Register(0, s.FD()); err != nil {
		return c, err
	}
	s.Fill(s.GetDescs(s.NumFreeFillSlots()))
	if err := p.Attach(link.Index); err != nil {
		return c, err
	}
	ready()
	for !stop.Load() {
		if n := s.NumFreeFillSlots(); n > 0 {
			s.Fill(s.GetDescs(n))
		}
		n, _, err := s.Poll(loopWait)
		if err != nil {
			return c, errors.Join(err, p.Detach(link.Index))
		}
		c.Syscalls++
		if n > 0 {
			c.Packets += uint64(len(s.Receive(n)))
			c.Batches++
		}
	}
	return c, p.Detach(link.Index)
}
