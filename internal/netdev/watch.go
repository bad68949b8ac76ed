package netdev

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Kind is what happened to a watched interface.
type Kind uint8

const (
	Down    Kind = iota // administratively down, or the carrier went
	Up                  // up again
	Deleted             // gone, or moved to another network namespace
	Renamed             // another name, the same interface
	MTU                 // another MTU
	Queues              // another number of rx queues in use (ethtool -L)
	Program             // another XDP program, or none
)

func (k Kind) String() string {
	return [...]string{"down", "up", "deleted", "renamed", "mtu", "queues", "program"}[k]
}

// State is how a watched interface is.
type State struct {
	Name    string
	Set     bool   // administratively up
	Up      bool   // and with a carrier
	MTU     int    // bytes, without the Ethernet header
	Queues  int    // rx queues in use; 0 where the driver doesn't say
	Program uint32 // id of its XDP program; 0 if there is none (or several)
}

// Event is one change, with the interface's state before and after it.
type Event struct {
	Kind     Kind
	Was, Now State
	At       time.Time // when it was noticed
}

// lookEvery is how often the kernel is asked although it told nothing: neither ethtool -L nor a program that was detached
// by its link (BPF_LINK_DETACH) makes a link message (net/ethtool/channels.c, bpf_xdp_link_release in net/core/dev.c at
// v6.18; tried on 6.18).
const lookEvery = 400 * time.Millisecond

// Watch reports what happens to one interface: a blocked poll on an AF_XDP socket is told nothing, not even that the
// interface has gone.
type Watch struct {
	C <-chan Event // buffered; while it is full, changes are put off and told as one

	index    int
	events   chan Event
	socket   *nl.NetlinkSocket // link messages of the namespace, and answers in their order
	tool     *ethtool.Ethtool  // asks in the same namespace, whatever thread asks; nil: no such thing here
	was      State             // as it was told
	expects  atomic.Bool
	gone     bool
	asked    time.Time
	question uint32        // sequence number of what was asked last
	owed     bool          // messages were lost, and nothing has been answered since
	overruns atomic.Uint64 // times that the socket could not hold what happened
	done     chan struct{}
	end      chan struct{}
	once     sync.Once
}

// NewWatch starts to watch, in the network namespace of the calling thread.
func NewWatch(index int) (w *Watch, err error) {
	events := make(chan Event, 64)
	w = &Watch{C: events, index: index, events: events, done: make(chan struct{}), end: make(chan struct{})}
	if w.socket, err = subscribe(); err != nil {
		return nil, fmt.Errorf("watch interface %d: %w", index, err)
	}
	if w.tool, err = ethtool.NewEthtool(); err != nil {
		w.tool = nil
	}
	l, err := netlink.LinkByIndex(index) // after subscribing: nothing is missed between the two
	if err != nil {
		w.release()
		return nil, fmt.Errorf("watch interface %d: %w", index, err)
	}
	w.was, w.asked = w.state(l, State{}, true), time.Now()
	go w.run()
	return w, nil
}

// subscribe opens a socket that is told of links, and returns from Receive with EAGAIN when nothing was told for a while.
func subscribe() (*nl.NetlinkSocket, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err == nil {
		every := unix.NsecToTimeval(int64(lookEvery))
		err = s.SetReceiveTimeout(&every)
	}
	return s, err
}

// ExpectProgram says that there is a program from now on: that there is none is then told whenever it is seen, also if
// the program was gone before it was ever seen.
func (w *Watch) ExpectProgram() { w.expects.Store(true) }

func (w *Watch) run() {
	defer close(w.end)
	for {
		messages, from, err := w.socket.Receive()
		switch {
		case w.closed():
			return
		case errors.Is(err, unix.ENOBUFS): // more happened than the socket could hold (netlink(7)); nor can it hold an answer yet
			w.owed = true
			w.overruns.Add(1)
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case err != nil:
			select {
			case <-w.done:
				return
			case <-time.After(lookEvery):
			}
		case from.Pid == nl.PidKernel: // any privileged process may send to the group
			w.read(messages)
		}
		if w.owed || time.Since(w.asked) >= lookEvery {
			w.ask()
		}
	}
}

// read takes messages, and the answer to the last question, as they came: each is the state at its time.
func (w *Watch) read(messages []syscall.NetlinkMessage) {
	for _, m := range messages {
		answer := m.Header.Seq == w.question && m.Header.Pid != nl.PidKernel
		if answer {
			w.owed = false
		}
		if answer && m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4 {
			if int32(binary.NativeEndian.Uint32(m.Data)) == -int32(unix.ENODEV) {
				w.now(State{}, true)
			}
			continue
		}
		if m.Header.Type != unix.RTM_NEWLINK && m.Header.Type != unix.RTM_DELLINK || len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		i := nl.DeserializeIfInfomsg(m.Data)
		if int(i.Index) != w.index || i.Family != unix.AF_UNSPEC { // another's, or a bridge port's
			continue
		}
		if m.Header.Type == unix.RTM_DELLINK {
			w.now(State{}, true)
			continue
		}
		header := unix.NlMsghdr{Len: m.Header.Len, Type: m.Header.Type, Flags: m.Header.Flags, Seq: m.Header.Seq, Pid: m.Header.Pid}
		if l, err := netlink.LinkDeserialize(&header, m.Data); err == nil {
			w.now(w.state(l, w.was, answer), false)
		}
	}
}

// ask asks for the state of the interface: what messages did not tell, or were lost. The answer comes through the socket
// that the messages come through, behind those of changes before it: an answer by another way would be newer than
// messages that wait, and they would then be told as changes back.
func (w *Watch) ask() {
	q := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index = int32(w.index)
	q.AddData(m)
	w.asked, w.question = time.Now(), q.Seq
	// Not the socket's Send: it sends to the group too. An error is as a lost answer: it is asked again.
	_ = unix.Sendto(w.socket.GetFd(), q.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// state reads a link. The queues, which no link message has, are asked for or are those of before.
func (w *Watch) state(l netlink.Link, before State, ask bool) State {
	a := l.Attrs()
	s := State{Name: a.Name, Set: a.Flags&net.FlagUp != 0, Up: running(a.RawFlags), MTU: a.MTU, Queues: before.Queues}
	if a.Xdp != nil && a.Xdp.Attached {
		s.Program = a.Xdp.ProgId
	}
	if ask && w.tool != nil {
		if ch, err := w.tool.GetChannels(a.Name); err == nil {
			s.Queues = int(ch.RxCount + ch.CombinedCount)
		}
	}
	return s
}

// now tells what is different from what was told before. What is not told for want of room stays different.
func (w *Watch) now(s State, gone bool) {
	if w.gone {
		return
	}
	if gone {
		w.gone = w.tell(Deleted, w.was)
		return
	}
	next := w.was
	step := func(k Kind, different bool) {
		if different && w.tell(k, next) {
			w.was = next
		}
		next = w.was
	}
	next.Name = s.Name
	step(Renamed, next != w.was)
	next.MTU = s.MTU
	step(MTU, next != w.was)
	next.Queues = s.Queues
	step(Queues, next != w.was)
	next.Program = s.Program
	step(Program, next != w.was || s.Program == 0 && w.expects.Load())
	if w.was.Up == s.Up { // a carrier that goes after the interface was set down, or the reverse, is not told apart
		w.was.Set, next.Set = s.Set, s.Set
	}
	next.Set, next.Up = s.Set, s.Up
	if s.Up {
		step(Up, next != w.was)
	} else {
		step(Down, next != w.was)
	}
}

// tell reports whether there was room for the event.
func (w *Watch) tell(k Kind, next State) bool {
	select {
	case w.events <- Event{k, w.was, next, time.Now()}:
		return true
	default:
		return false
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
		w.release()
	})
}

func (w *Watch) release() {
	w.socket.Close()
	if w.tool != nil {
		w.tool.Close()
	}
}
