package netdev

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Event is what happened to a watched interface.
type Event uint8

const (
	Down    Event = iota // administratively down, or the carrier went
	Up                   // up again
	Deleted              // gone, or moved to another network namespace
)

func (e Event) String() string { return [...]string{"down", "up", "deleted"}[e] }

// Watch reports what happens to one interface: a blocked poll on an AF_XDP socket is told nothing, not even that the
// interface has gone.
type Watch struct {
	C <-chan Event // buffered; what changes nothing of these (up while up, an XDP program) is left out

	index  int
	events chan Event
	socket *nl.NetlinkSocket // link messages of the namespace
	handle *netlink.Handle   // for questions in the same namespace, whatever thread asks
	up     bool
	done   chan struct{}
	end    chan struct{}
	once   sync.Once
}

// NewWatch starts to watch, in the network namespace of the calling thread.
func NewWatch(index int) (w *Watch, err error) {
	events := make(chan Event, 64)
	w = &Watch{C: events, index: index, events: events, done: make(chan struct{}), end: make(chan struct{})}
	if w.socket, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK); err != nil {
		return nil, fmt.Errorf("watch interface %d: %w", index, err)
	}
	if w.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		w.socket.Close()
		return nil, fmt.Errorf("watch interface %d: %w", index, err)
	}
	l, err := w.handle.LinkByIndex(index) // after subscribing: nothing is missed between the two
	if err != nil {
		w.socket.Close()
		w.handle.Close()
		return nil, fmt.Errorf("watch interface %d: %w", index, err)
	}
	w.up = running(l.Attrs().RawFlags)
	go w.run()
	return w, nil
}

func (w *Watch) run() {
	defer close(w.end)
	for {
		messages, from, err := w.socket.Receive()
		switch {
		case w.closed():
			return
		case errors.Is(err, unix.ENOBUFS): // more happened than the socket could hold (netlink(7)): look for ourselves
			w.look()
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case err != nil: // nothing more will be told; the socket's own errors have to do
			return
		case from.Pid != nl.PidKernel: // any privileged process may send to the group
			continue
		}
		for _, m := range messages {
			if m.Header.Type != unix.RTM_NEWLINK && m.Header.Type != unix.RTM_DELLINK {
				continue
			}
			i := nl.DeserializeIfInfomsg(m.Data)
			switch {
			case int(i.Index) != w.index || i.Family != unix.AF_UNSPEC: // another's, or a bridge port's
			case m.Header.Type == unix.RTM_DELLINK:
				w.tell(Deleted)
			default:
				w.now(running(i.Flags))
			}
		}
	}
}

// look asks for the state of the interface: what the messages that were lost would have told.
func (w *Watch) look() {
	l, err := w.handle.LinkByIndex(w.index)
	var missing netlink.LinkNotFoundError
	switch {
	case err == nil:
		w.now(running(l.Attrs().RawFlags))
	case errors.As(err, &missing), errors.Is(err, unix.ENODEV):
		w.tell(Deleted)
	}
}

func (w *Watch) now(up bool) {
	if up == w.up {
		return // an address, a counter, an XDP program: a reader who is not there yet must not miss a deletion for it
	}
	if w.up = up; up {
		w.tell(Up)
	} else {
		w.tell(Down)
	}
}

func (w *Watch) tell(e Event) {
	select {
	case w.events <- e:
	case <-w.done:
	}
}

func (w *Watch) closed() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

func running(flags uint32) bool {
	return flags&uint32(net.FlagUp) != 0 && flags&unix.IFF_LOWER_UP != 0
}

// Close stops watching and waits until nothing of it runs any more.
func (w *Watch) Close() {
	w.once.Do(func() {
		close(w.done)
		w.socket.Close() // ends a Receive that waits
		<-w.end
		w.handle.Close()
	})
}
