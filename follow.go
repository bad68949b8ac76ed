package xrx

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"xrx/bpf"
	"xrx/internal/netdev"
)

// errReopen ends Run under a Standing receiver: what changed takes a new Open.
var errReopen = errors.New("xrx: the interface must be opened again")

// follower is what a receiver knows about the events of its interface. All but name and counts belongs to Run.
type follower struct {
	namespace *netdev.Namespace // of the interface: to attach the program again
	name      atomic.Pointer[string]
	counts    eventCounts
	attached  time.Time   // when the program was first put on the interface
	mends     []time.Time // when it was put back, of late
	truncated bool        // FramesTruncated was told
	reopens   bool        // somebody opens again after errReopen
}

// Interface returns the name of the interface, which may change while Run is running.
func (r *Receiver) Interface() string {
	if n := r.follow.name.Load(); n != nil {
		return *n
	}
	return r.iface.Name
}

// event does what is to be done about one. The error ends Run.
func (r *Receiver) event(e netdev.Event) error {
	switch e.Kind {
	case netdev.Down:
		switch {
		case !e.Now.Set:
			r.tell(e.At, LinkDown, false, "set down; waiting until it is up")
		case e.At.Sub(r.follow.attached) < flapTime:
			r.tell(e.At, LinkDown, false, "no carrier: with some drivers, attaching the XDP program takes the link down for a moment; waiting for it")
		default:
			r.tell(e.At, LinkDown, false, "no carrier; waiting for it")
		}
	case netdev.Up:
		r.tell(e.At, LinkUp, false, "up again")
	case netdev.Renamed:
		r.follow.name.Store(&e.Now.Name)
		r.tell(e.At, LinkRenamed, false, "was %s", e.Was.Name)
	case netdev.MTU:
		return r.mtuChanged(e)
	case netdev.Queues:
		return r.queuesChanged(e)
	case netdev.Program:
		return r.programChanged(e)
	case netdev.Deleted:
		r.tell(e.At, LinkDeleted, !r.follow.reopens, "deleted, or moved to another network namespace")
		return fmt.Errorf("%w: %s", ErrDeleted, r.Interface())
	}
	return nil
}

// flapTime is how long after attaching a carrier that goes is put down to that: igb, ixgbe and others reset the link, and
// negotiate anew for up to some seconds.
const flapTime = 5 * time.Second

// mtuChanged: sockets that were opened for packets within a chunk drop larger ones, and whether they may span several
// chunks (XDP_USE_SG) is settled when they are bound. GRO's bound on what can have been on the wire moves at once.
func (r *Receiver) mtuChanged(e netdev.Event) error {
	if r.pair != nil && r.pair.sender[r] != nil {
		r.pair.sender[r].sendMTU(e.Now.MTU)
	}
	fits := true
	for _, p := range r.pollers {
		p.ask(func() {
			for _, q := range p.queues {
				if q.gro != nil && r.cfg.GRO.MTU == 0 {
					q.gro.SetMTU(e.Now.MTU)
				}
				fits = fits && (q.sock.MultiBuffer() || e.Now.MTU+linkHeader <= q.mem.Usable())
			}
		})
	}
	switch {
	case fits:
		r.tell(e.At, MTUChanged, false, "MTU %d, was %d", e.Now.MTU, e.Was.MTU)
	case r.cfg.MultiBuffer == MultiBufferOff:
		r.tell(e.At, MTUChanged, true, "MTU %d, was %d: packets longer than a frame has room for (%d bytes) are dropped (rx_dropped): multi-buffer was switched off", e.Now.MTU, e.Was.MTU, r.queues[0].mem.Usable())
	case r.follow.reopens:
		r.tell(e.At, MTUChanged, false, "MTU %d, was %d: packets may be larger than a frame now; opening again", e.Now.MTU, e.Was.MTU)
		return errReopen
	default:
		r.tell(e.At, MTUChanged, true, "MTU %d, was %d: packets longer than a frame has room for (%d bytes) are dropped (rx_dropped) until the receiver is opened again (--wait does that by itself; --chunk 4096 has more room)", e.Now.MTU, e.Was.MTU, r.queues[0].mem.Usable())
	}
	return nil
}

func (r *Receiver) queuesChanged(e netdev.Event) error {
	last := r.queues[len(r.queues)-1].id
	all := len(r.cfg.Queues) == 0
	switch {
	case all && r.follow.reopens:
		r.tell(e.At, QueuesChanged, false, "%d rx queues, were %d; opening again", e.Now.Queues, e.Was.Queues)
		return errReopen
	case last >= e.Now.Queues:
		r.tell(e.At, QueuesChanged, true, "%d rx queues, were %d: nothing comes any more through those from %d on; start again (--wait with all queues does that by itself)", e.Now.Queues, e.Was.Queues, e.Now.Queues)
	case all && len(r.queues) < e.Now.Queues:
		r.tell(e.At, QueuesChanged, true, "%d rx queues, were %d: what is steered to those from %d on goes to the kernel, not to xrx, until it is started again (--wait does that by itself)", e.Now.Queues, e.Was.Queues, last+1)
	default:
		r.tell(e.At, QueuesChanged, false, "%d rx queues, were %d", e.Now.Queues, e.Was.Queues)
	}
	return nil
}

// A program that somebody takes away is put back, but not for ever: two who both insist would go on like that.
const (
	mendsMost = 3
	mendsTime = 10 * time.Second
)

// programChanged looks whether the program is still there. SetMatch changes it too: then all is well.
func (r *Receiver) programChanged(e netdev.Event) error {
	condition, err := r.link.Condition()
	if err != nil {
		return fmt.Errorf("xrx: %s: %w", r.Interface(), err)
	}
	kind, what := ProgramDetached, "somebody detached the XDP program"
	switch condition {
	case bpf.Attached:
		return nil
	case bpf.Replaced:
		kind, what = ProgramReplaced, "somebody replaced the XDP program"
	}
	r.follow.mends = append(r.follow.mends, e.At)
	if n := len(r.follow.mends); n > mendsMost && e.At.Sub(r.follow.mends[n-1-mendsMost]) < mendsTime {
		r.tell(e.At, kind, true, "%s for the %dth time within %v; giving up", what, mendsMost+1, mendsTime)
		return fmt.Errorf("xrx: %s: %s again and again: find out who (bpftool net, bpftool link)", r.Interface(), what)
	}
	if err := r.follow.namespace.Do(r.link.Mend); err != nil {
		if errors.Is(err, syscall.ENODEV) {
			return nil // deleted: that is told next
		}
		r.tell(e.At, kind, true, "%s, and it can't be put back: %v", what, err)
		return fmt.Errorf("xrx: %s: %s: %w", r.Interface(), what, err)
	}
	r.tell(e.At, kind, true, "%s; it is back. In between its packets went to the kernel", what)
	return nil
}
