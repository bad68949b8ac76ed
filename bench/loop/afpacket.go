package main

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/gopacket/gopacket/afpacket"
)

// afpacketLoop reads TPACKET_V3 blocks in place, through gopacket. It counts no system calls: the library does not tell.
func afpacketLoop(o options, stop *atomic.Bool) (c counts, err error) {
	h, err := afpacket.NewTPacket(afpacket.OptInterface(o.iface), afpacket.TPacketVersion3,
		afpacket.OptFrameSize(2048), afpacket.OptBlockSize(1<<18), afpacket.OptNumBlocks(32),
		afpacket.OptBlockTimeout(8*time.Millisecond), afpacket.OptPollTimeout(loopWait*time.Millisecond))
	if err != nil {
		return c, err
	}
	defer h.Close()
	ready()
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
