package xrx_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/own"
)

// soakOwners are an ownership tree that several goroutines change at random: each has a branch where packets come in, all
// of them share a pool that they give to and steal from.
type soakOwners struct {
	t      testing.TB
	pool   *own.Node
	owners []*soakOwner

	held, freed, nodes, released, limited, stolen atomic.Int64
}

type soakOwner struct {
	*soakOwners
	branch *own.Node
	in     chan *own.Node
	mine   []*own.Node // whole packets
	rng    *rand.Rand
	buf    []byte
}

func newSoakOwners(t testing.TB, seed uint64, count, frames int) *soakOwners {
	s := &soakOwners{t: t, pool: own.New("soak's pool", frames/2)}
	for i := range count {
		s.owners = append(s.owners, &soakOwner{soakOwners: s, branch: own.New(fmt.Sprint("soak's branch ", i), frames), in: make(chan *own.Node, 4*frames),
			rng: rand.New(rand.NewPCG(seed, uint64(100+i)))})
	}
	return s
}

// hold is what a handler does with a packet that it wants to keep.
func (s *soakOwners) hold(p xrx.Packet, to uint64) {
	o := s.owners[to%uint64(len(s.owners))]
	n, err := o.branch.Hold(p)
	if err != nil {
		s.limited.Add(1)
		return
	}
	s.held.Add(1)
	s.track(n.OnFree(func() { s.freed.Add(1) }))
	select {
	case o.in <- n:
	default: // it is stalled
		n.Release()
	}
}

func (s *soakOwners) track(n *own.Node) *own.Node {
	s.nodes.Add(1)
	return n.OnRelease(func() { s.released.Add(1) })
}

// run plays with what comes until stop, and gives everything back.
func (o *soakOwner) run(stop <-chan struct{}) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case n := <-o.in:
			o.mine = append(o.mine, n)
		case <-tick.C:
		}
		for range 2 {
			o.step()
		}
		for len(o.mine) > 32 {
			o.release(0)
		}
		if o.rng.IntN(3000) == 0 { // a consumer that is slow for a moment
			time.Sleep(time.Duration(1+o.rng.IntN(150)) * time.Millisecond)
		}
	}
}

func (o *soakOwner) step() {
	op := o.rng.IntN(8)
	if len(o.mine) == 0 && op < 5 {
		return
	}
	i := 0
	if len(o.mine) > 0 {
		i = o.rng.IntN(len(o.mine))
	}
	switch op {
	case 0:
		o.track(o.mine[i].Clone())
	case 1:
		o.split(o.mine[i])
	case 2: // away with it, and everything below it
		if err := o.pool.Adopt(o.mine[i]); err != nil {
			o.limited.Add(1)
			return
		}
		o.forget(i)
	case 3, 4:
		o.release(i)
	case 5: // what the others gave
		box := o.branch.Owner("stolen", 0)
		if err := box.Steal(o.pool); err != nil {
			o.limited.Add(1)
		} else {
			o.stolen.Add(1)
		}
		box.Release()
	case 6:
		o.branch.Tick()
	case 7:
		if o.rng.IntN(50) == 0 {
			own.Report()
		}
	}
}

// split moves a part of a packet to the pool.
func (o *soakOwner) split(n *own.Node) {
	o.buf = n.Bytes(o.buf[:0])
	from := o.rng.IntN(len(o.buf))
	to := from + o.rng.IntN(len(o.buf)-from+1)
	part, err := n.Split(from, to)
	if err != nil {
		o.t.Error(err)
		return
	}
	if got := part.Bytes(nil); !bytes.Equal(got, o.buf[from:to]) {
		o.t.Errorf("bytes %d to %d of %d are not the packet's", from, to, len(o.buf))
	}
	if o.pool.Adopt(o.track(part)) != nil {
		o.limited.Add(1) // it goes with n
	}
}

// release looks once more at a packet: nobody may have written to it.
func (o *soakOwner) release(i int) {
	n := o.mine[i]
	var err error
	if o.buf, err = soakPacket(n.Ref().(xrx.Packet), o.buf, nil); err != nil {
		o.t.Errorf("a packet has changed while it was held: %v", err)
	}
	n.Release()
	o.forget(i)
}

func (o *soakOwner) forget(i int) {
	last := len(o.mine) - 1
	o.mine[i], o.mine[last] = o.mine[last], nil
	o.mine = o.mine[:last]
}

// end gives everything back, when nobody else uses the tree any more, and checks that everything went once.
func (s *soakOwners) end() {
	for _, o := range s.owners {
		o.branch.Release()
	}
	s.pool.Release()
	if s.held.Load() != s.freed.Load() || s.nodes.Load() != s.released.Load() || s.held.Load() == 0 || s.stolen.Load() == 0 {
		s.t.Errorf("%d packets held, %d freed; %d nodes, %d destructors ran; %d times stolen", s.held.Load(), s.freed.Load(), s.nodes.Load(), s.released.Load(), s.stolen.Load())
	}
}
