package udpconn

import (
	"net"
	"net/netip"
)

// ReadFrom reads one datagram: net.PacketConn's. It allocates the address; ReadFromUDPAddrPort does not.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// ReadFromUDPAddrPort reads one datagram, as *net.UDPConn's does: what b has no room for is lost.
func (c *Conn) ReadFromUDPAddrPort(b []byte) (n int, from netip.AddrPort, err error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if err := c.fill(); err != nil {
		return 0, from, err
	}
	n, from = c.now.read(b), c.now.from
	c.datagrams.Add(1)
	c.letGo()
	return n, from, nil
}

// letGo releases a packet that was read to its end: a reader that does not come back holds no frame.
func (c *Conn) letGo() {
	if c.now.empty() {
		c.now.release()
	}
}

// ReadGRO reads as many datagrams of one sender as came together and fit into b, one behind the other: each of size
// bytes but the last, which may be shorter. 64 KiB have room for any. A first datagram that does not fit is cut.
func (c *Conn) ReadGRO(b []byte) (n, size int, from netip.AddrPort, err error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if err := c.fill(); err != nil {
		return 0, 0, from, err
	}
	t := &c.now
	from, size = t.from, t.lengths[t.next]
	for read := uint64(1); ; read++ {
		last := t.lengths[t.next] != size
		n += t.read(b[n:])
		if t.empty() || last || t.lengths[t.next] > size || t.lengths[t.next] > len(b)-n {
			c.datagrams.Add(read)
			break
		}
	}
	c.letGo()
	return n, min(size, len(b)), from, nil
}

// Message is one datagram of ReadBatch.
type Message struct {
	Buffer []byte         // room for it
	N      int            // its bytes in Buffer; what Buffer has no room for is lost
	From   netip.AddrPort // who sent it
}

// ReadBatch waits for one datagram, and reads as many as are there, at most one for each message. It returns how many.
func (c *Conn) ReadBatch(messages []Message) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	n := 0
	for ; n < len(messages); n++ {
		if c.now.empty() && n > 0 && !c.more() {
			break
		}
		if n == 0 {
			if err := c.fill(); err != nil {
				return 0, err
			}
		}
		messages[n].N, messages[n].From = c.now.read(messages[n].Buffer), c.now.from
	}
	c.datagrams.Add(uint64(n))
	c.letGo()
	return n, nil
}

// more takes a packet that is there already.
func (c *Conn) more() bool {
	for {
		c.now.release()
		it, ok := c.box.TryGet()
		if !ok {
			return false
		}
		if c.now.load(it) {
			return true
		}
		c.checksum.Add(uint64(it.Count()))
		it.Release()
	}
}
