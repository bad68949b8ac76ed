package netdev

import (
	"fmt"
	"net"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Event is what happened to a watched interface.
type Event uint8

const (
	Changed Event = iota // anything that is none of the others
	Down                 // administratively down, or the carrier went
	Up                   // up again
	Deleted              // gone, or moved to another network namespace
)

func (e Event) String() string { return [...]string{"changed", "down", "up", "deleted"}[e] }

// Watch reports what happens to one interface: a blocked poll on an AF_XDP socket is told nothing, not even that the
// interface has gone.
type Watch struct {
	C    <-chan Event // buffered; events that change nothing (up while up) are left out
	done chan struct{}
	once sync.Once
	end  chan struct{}
}

// NewWatch starts to watch, in the network namespace of the calling thread.
func NewWatch(index int) (*Watch, error) {
	updates := make(chan netlink.LinkUpdate, 64)
	done := make(chan struct{})
	if err := netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{}); err != nil {
		return nil, fmt.Errorf("watch interface %d: %w", index, err)
	}
	l, err := netlink.LinkByIndex(index) // after subscribing: nothing is missed between the two
	if err != nil {
		close(done)
		for range updates {
		}
		return nil, fmt.Errorf("watch interface %d: %w", index, err)
	}
	c := make(chan Event, 64)
	w := &Watch{C: c, done: done, end: make(chan struct{})}
	up := running(l.Attrs().RawFlags)
	go func() {
		defer close(w.end)
		for u := range updates {
			if int(u.Index) != index || u.IfInfomsg.Family != unix.AF_UNSPEC {
				continue
			}
			e := Changed
			switch now := running(u.IfInfomsg.Flags); {
			case u.Header.Type == unix.RTM_DELLINK:
				e = Deleted
			case up && !now:
				e = Down
			case !up && now:
				e = Up
			}
			up = running(u.IfInfomsg.Flags)
			select {
			case c <- e:
			case <-done:
			}
		}
	}()
	return w, nil
}

func running(flags uint32) bool {
	return flags&uint32(net.FlagUp) != 0 && flags&unix.IFF_LOWER_UP != 0
}

// Close stops watching and waits until nothing of it runs any more.
func (w *Watch) Close() {
	w.once.Do(func() {
		close(w.done)
		<-w.end
	})
}
