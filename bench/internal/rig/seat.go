package rig

import (
	"errors"

	"golang.org/x/sys/unix"

	"xrx/internal/vethnet"
)

// Seat is a receiver at work on a network of its own, stopped (SIGSTOP) but for its turns. So receivers that need the same
// processor take turns of a fraction of a second, without being started anew for each.
type Seat struct {
	rig *Rig // with a network of its own
	w   *process
}

// Seat starts what of makes for a rig with a network of its own.
func (g *Rig) Seat(of func(*Rig) *Program) (_ *Seat, err error) {
	own := *g
	if own.Net, err = vethnet.Build(vethnet.Options{Queues: 1, PeerXDP: true}); err != nil {
		return nil, err
	}
	w, err := of(&own).Start()
	if err != nil {
		return nil, errors.Join(err, own.Net.Close())
	}
	s := &Seat{&own, w.(*process)}
	if err := s.signal(unix.SIGSTOP); err != nil {
		_, e := s.Leave()
		return nil, errors.Join(err, e)
	}
	return s, nil
}

// Turn sends it a load. What it received is known only when it leaves.
func (s *Seat) Turn(l Load) (t Sample, err error) {
	if err := s.signal(unix.SIGCONT); err != nil {
		return t, err
	}
	t, err = s.rig.send(s.w, l)
	return t, errors.Join(err, s.signal(unix.SIGSTOP))
}

// Leave ends the receiver and removes its network.
func (s *Seat) Leave() (c Counts, err error) {
	err = s.signal(unix.SIGCONT)
	c, e := s.w.Stop()
	return c, errors.Join(err, e, s.rig.Net.Close())
}

func (s *Seat) signal(sig unix.Signal) error { return s.w.cmd.Process.Signal(sig) }
