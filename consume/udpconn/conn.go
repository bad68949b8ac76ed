package udpconn

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"xrx"
	"xrx/internal/inbox"
)

// ErrNoSend is what WriteTo returns without Config.Send.
var ErrNoSend = errors.New("udpconn only receives: set Config.Send to a kernel socket of the same address (net.ListenUDP)")

// Config says how datagrams wait. nil, and the zero value of every field, mean the documented default.
type Config struct {
	Backlog int            // frames that may wait for a reader; default 1024, a quarter of a queue's default
	Send    net.PacketConn // WriteTo goes there; it stays the caller's, who closes it. Default: WriteTo returns ErrNoSend
}

// Conn receives the datagrams for one address and port. Any goroutine may use it.
type Conn struct {
	local netip.AddrPort
	send  net.PacketConn
	box   *inbox.Inbox
	limit *deadline

	reading sync.Mutex // readers, one after the other
	closed  atomic.Bool
	now     train // what is being read

	datagrams, fragments, malformed, checksum atomic.Uint64
}

var _ net.PacketConn = (*Conn)(nil)

// Stats is what became of the datagrams for the address and port.
type Stats struct {
	Read  uint64            // given to readers
	Drops map[string]uint64 // "backlog": no reader came in time; "fragment", "malformed", "checksum"
}

// Listen returns a connection that gets datagrams to local: to all addresses where it is 0.0.0.0 (IPv4) or [::] (both).
// Nothing comes before Take is given packets.
func Listen(local netip.AddrPort, cfg *Config) (*Conn, error) {
	var c Config
	if cfg != nil {
		c = *cfg
	}
	if c.Backlog == 0 {
		c.Backlog = 1024
	}
	if !local.Addr().IsValid() || local.Port() == 0 {
		return nil, fmt.Errorf("udpconn: listen on %v: want an address and a port that is not 0", local)
	}
	local = netip.AddrPortFrom(local.Addr().Unmap().WithZone(""), local.Port())
	box, err := inbox.New(c.Backlog)
	if err != nil {
		return nil, fmt.Errorf("udpconn: %w", err)
	}
	return &Conn{local: local, send: c.Send, box: box, limit: newDeadline()}, nil
}

// Take keeps what is for the connection and releases the rest: an xrx.BatchHandler. It waits for nobody.
func (c *Conn) Take(packets []xrx.Packet) {
	c.Offer(packets)
	xrx.Release(packets)
}

// offered is how many packets are looked at before those that are for the connection are put into its inbox.
const offered = 64

// Offer retains what is for the connection, and leaves the caller's references to the caller.
func (c *Conn) Offer(packets []xrx.Packet) {
	now := time.Now().UnixNano()
	for len(packets) > 0 {
		var mine [offered]xrx.Packet
		n := 0
		for _, p := range packets[:min(offered, len(packets))] {
			if c.wants(p) {
				p.Retain()
				mine[n] = p
				n++
			}
		}
		c.box.Put(mine[:n], now)
		packets = packets[min(offered, len(packets)):]
	}
}

// End says that no more packets come: reads give what waits, and then io.EOF.
func (c *Conn) End() { c.box.End() }

// Close releases what waits. Reads return net.ErrClosed from then on.
func (c *Conn) Close() error {
	c.closed.Store(true)
	c.box.Close()
	c.reading.Lock()
	defer c.reading.Unlock()
	c.now.release()
	c.limit.set(time.Time{})
	return nil
}

// LocalAddr returns the *net.UDPAddr that Listen was given.
func (c *Conn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.local) }

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error {
	c.limit.set(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline lets reads that wait fail with os.ErrDeadlineExceeded at a time; the zero time is never.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.limit.set(t)
	return nil
}

// SetWriteDeadline is passed on to Config.Send, if there is one.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.send == nil {
		return nil
	}
	return c.send.SetWriteDeadline(t)
}

// WriteTo sends through Config.Send: the kernel's way, not AF_XDP's.
func (c *Conn) WriteTo(b []byte, to net.Addr) (int, error) {
	switch {
	case c.closed.Load():
		return 0, c.opError("write", net.ErrClosed)
	case c.send == nil:
		return 0, c.opError("write", ErrNoSend)
	}
	return c.send.WriteTo(b, to)
}

// Stats may be called at any time.
func (c *Conn) Stats() Stats {
	s := Stats{Read: c.datagrams.Load(), Drops: map[string]uint64{}}
	for name, n := range map[string]uint64{"backlog": c.box.Dropped(), "fragment": c.fragments.Load(), "malformed": c.malformed.Load(), "checksum": c.checksum.Load()} {
		if n > 0 {
			s.Drops[name] = n
		}
	}
	return s
}

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Addr: c.LocalAddr(), Err: err}
}

// readError is what a reader is told.
func (c *Conn) readError(err error) error {
	switch {
	case c.closed.Load():
		err = net.ErrClosed
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return c.opError("read", err)
}

// fill waits until there is a datagram to read. The caller has the lock.
func (c *Conn) fill() error {
	past := c.limit.passed()
	select {
	case <-past:
		return c.readError(os.ErrDeadlineExceeded)
	default:
	}
	for c.now.empty() {
		c.now.release()
		it, err := c.box.Get(past)
		if err != nil {
			return c.readError(err)
		}
		if !c.now.load(it) {
			c.checksum.Add(uint64(it.Count()))
			it.Release()
		}
	}
	if c.closed.Load() {
		return c.readError(net.ErrClosed)
	}
	return nil
}
