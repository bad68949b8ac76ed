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
	Down    Event = iota // administratively down, or the carrier went
	Up                   // up again
	Deleted              // gone, or moved to another network namespace
)

func (e Event) String() string { return [...]string{"down", "up", "deleted"}[e] }

// Watch reports what happens to one interface: a blocked poll on an AF_XDP socket is told nothing, not even that the
// interface has gone.
type Watch struct {
	C    <-chan Event // buffered; what changes nothing of these (up while up, an XDP program) is left out
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
			var e Event
			switch now := running(u.IfInfomsg.Flags); {
			case u.Header.Type == unix.RTM_DELLINK:
				e = Deleted
			case up && !now:
				e = Down
			case !up && now:
				e = Up
			default: // an address, a counter, an XDP program: a reader who is not there yet must not miss a deletion for it
				continue
			}
			up = e == Up
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
