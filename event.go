package xrx

import (
	"fmt"
	"sync/atomic"
	"time"

	"xrx/stats"
)

// EventKind is what happened to the interface under a running receiver.
type EventKind uint8

const (
	LinkDown        EventKind = iota // administratively down, or the carrier went: nothing to do but wait
	LinkUp                           // up again: packets come again, nothing was rebound
	LinkDeleted                      // gone, or moved to another network namespace
	LinkRenamed                      // another name; the receiver follows
	MTUChanged                       // another MTU
	QueuesChanged                    // another number of rx queues (ethtool -L)
	ProgramDetached                  // somebody detached the XDP program
	ProgramReplaced                  // somebody put another program into its link
	FramesTruncated                  // packets come that are shorter than their IP header says: the driver cuts frames; told once
	Waiting                          // Standing: there is no such interface; it is waited for
	Opened                           // Standing: it is there (again), and open
	NumEvents
)

// Compiled only if every kind has a name.
var _ = [1]struct{}{}[int(NumEvents)-len(stats.EventNames)]

// String is the kind's name in Snapshot.Events, JSON and metrics.
func (k EventKind) String() string { return stats.EventNames[k] }

// Event is told to Config.OnEvent and counted in Snapshot.Events.
type Event struct {
	At        time.Time // when it was noticed
	Kind      EventKind
	Interface string // its name now
	Text      string // the whole of it, in words, with what to do where something is to be done
	Warning   bool   // something is to be done, or packets are lost by it
}

func (e Event) String() string { return e.Interface + ": " + e.Text }

// eventCounts counts events; anyone may read them.
type eventCounts [NumEvents]atomic.Uint64

func (c *eventCounts) all() map[string]uint64 {
	m := map[string]uint64{}
	for k := range NumEvents {
		if n := c[k].Load(); n > 0 {
			m[k.String()] = n
		}
	}
	return m
}

// tell counts an event and hands it to OnEvent.
func (c *eventCounts) tell(cfg *Config, e Event) {
	c[e.Kind].Add(1)
	if cfg.OnEvent != nil {
		cfg.OnEvent(e)
	}
}

func (r *Receiver) tell(at time.Time, k EventKind, warning bool, format string, args ...any) {
	r.follow.counts.tell(&r.cfg, Event{At: at, Kind: k, Interface: r.Interface(), Text: fmt.Sprintf(format, args...), Warning: warning})
}
