package main

import (
	"fmt"

	"xrx/umem"
)

// frames is a pool with one queue's frames in it and a burst of received ones: what is in front of an engine of xrx.
type frames struct {
	u     *umem.Umem
	p     *umem.Pool
	burst []*umem.Header
	slots []uint64
}

func newFrames(n int) (*frames, error) {
	u, err := umem.New(umem.Config{Frames: n})
	if err != nil {
		return nil, err
	}
	pools, err := u.Split(1)
	if err != nil {
		return nil, err
	}
	return &frames{u: u, p: pools[0]}, nil
}

// load does what the kernel does: it takes frames from the fill ring, writes packets into them and hands them over.
func (f *frames) load(burst [][]byte) {
	if cap(f.slots) < len(burst) {
		f.slots, f.burst = make([]uint64, len(burst)), make([]*umem.Header, 0, len(burst))
	}
	slots := f.slots[:len(burst)]
	if n := f.p.Fill(slots); n != len(slots) {
		panic(fmt.Sprintf("%d frames are free, %d needed: the engine keeps too many", n, len(slots)))
	}
	f.burst = f.burst[:0]
	for i, b := range burst {
		addr := slots[i] + uint64(f.u.PacketOffset())
		copy(f.u.Memory()[addr:], b)
		h, fault := f.p.Receive(addr, uint32(len(b)))
		if fault != umem.NoFault {
			panic(fault)
		}
		f.burst = append(f.burst, h)
	}
}

// deliver hands packets to a consumer that releases them at once.
func (f *frames) deliver(hs []*umem.Header) int {
	for _, h := range hs {
		f.p.Deliver(h)
		f.p.ReleaseLocal(h, h.Gen())
	}
	return len(hs)
}

// close fails if a frame is not back: then what was measured was not what it should be.
func (f *frames) close() error {
	if l := f.p.Audit(); l.Lost != 0 || l.Free != l.Total {
		return fmt.Errorf("frames are missing: %v", l)
	}
	return f.u.Close()
}
