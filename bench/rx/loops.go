package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"github.com/asavie/xdp"
	"github.com/gopacket/gopacket/afpacket"
	"golang.org/x/sys/unix"

	"xrx/bench/internal/lab"
)

// The receive loops of Go libraries. Each runs in a process of its own, this program started again with -loop: prints
// "ready", does nothing with what it gets, and on SIGTERM prints packets, batches and system calls.
var loops = map[string]func(iface string, stop *atomic.Bool) (counts, error){
	"asavie":   asavieLoop,
	"afpacket": afpacketLoop,
}

// runLoop is main of such a process.
func runLoop(name, iface string, cpu int) error {
	loop := loops[name]
	if loop == nil {
		return fmt.Errorf("no loop %q", name)
	}
	if err := lab.Pin(cpu); err != nil {
		return err
	}
	var stop atomic.Bool
	term := make(chan os.Signal, 1)
	signal.Notify(term, unix.SIGTERM)
	go func() { <-term; stop.Store(true) }()
	c, err := loop(iface, &stop)
	fmt.Println(c.Packets, c.Batches, c.Syscalls)
	return err
}

// How long a loop waits before it looks whether it is to end, milliseconds.
const loopWait = 100

// asavieLoop is the loop of github.com/asavie/xdp's examples, over as much memory as the others have.
func asavieLoop(iface string, stop *atomic.Bool) (c counts, err error) {
	link, err := net.InterfaceByName(iface)
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
	fmt.Println("ready")
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

// afpacketLoop reads TPACKET_V3 blocks in place, through gopacket. It counts no system calls: the library does not tell.
func afpacketLoop(iface string, stop *atomic.Bool) (c counts, err error) {
	h, err := afpacket.NewTPacket(afpacket.OptInterface(iface), afpacket.TPacketVersion3,
		afpacket.OptFrameSize(2048), afpacket.OptBlockSize(1<<18), afpacket.OptNumBlocks(32),
		afpacket.OptBlockTimeout(8*time.Millisecond), afpacket.OptPollTimeout(loopWait*time.Millisecond))
	if err != nil {
		return c, err
	}
	defer h.Close()
	fmt.Println("ready")
	for !stop.Load() {
		_, _, err := h.ZeroCopyReadPacketData()
		switch {
		case err == nil:
			c.Packets++
		case !errors.Is(err, afpacket.ErrTimeout):
			return c, err
		}
	}
	return c, nil
}
