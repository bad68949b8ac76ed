package txring

import (
	"syscall"
	"time"

	"xrx/internal/ring"
	"xrx/internal/sys"
	"xrx/umem"
)

// Config says what a Sender sends on. Ring, Completions, Pool and Kick are required.
type Config struct {
	Ring        *ring.Producer[sys.XDPDesc] // the tx ring of a socket on the pool's UMEM
	Completions *ring.Consumer[uint64]      // the completion ring that goes with it
	Pool        *umem.Pool                  // home of the frames that are sent
	Kick        func() error                // sendto(2) on the socket: nil or its errno
	ZeroCopy    bool                        // the driver sends by itself, and Kick only wakes it
	MTU         int                         // longest IP packet that the interface takes; 0: any
	SwapMAC     bool                        // source and destination MAC change places
	Tags        bool                        // the metadata says which VLAN tag the device took off
}

// Stats count what a Sender did. Written by the queue's goroutine.
type Stats struct {
	Packets, Bytes uint64 // posted to the tx ring; bytes from the Ethernet header on
	Completed      uint64 // frames that came back
	Kicks          uint64 // system calls to send
	Checksums      uint64 // partial checksums completed
	Tags           uint64 // VLAN tags put back
	Drops          [NumReasons]uint64
}

// Sender sends the packets of one pool on one tx ring. All of it belongs to the goroutine of the pool's queue.
type Sender struct {
	Stats Stats
	cfg   Config
	u     *umem.Umem
	room  int   // free descriptors, as last seen
	off   int   // where a packet starts that has metadata
	down  bool  // ENETDOWN, when last asked
	err   error // what ended sending for good
}

// New makes a sender.
func New(cfg Config) *Sender {
	return &Sender{cfg: cfg, u: cfg.Pool.Umem(), off: cfg.Pool.Umem().PacketOffset()}
}

// SetMTU says what the interface's MTU is now.
func (s *Sender) SetMTU(mtu int) { s.cfg.MTU = mtu }

// Err returns what ended sending for good: ENXIO or ENODEV when the interface was deleted.
func (s *Sender) Err() error { return s.err }

// Send sends a packet that the queue has in its hands (Received or Held). Of a merged one each frame must hold what it
// came with: gro.Restore. It is on the ring, or dropped and counted, when Send returns; Flush makes the kernel send.
func (s *Sender) Send(h *umem.Header) {
	s.cfg.Pool.Send(h)
	s.post(h)
}

// Post is Send for a packet whose frames are Sending already: umem.Pool.SendDelivered.
func (s *Sender) Post(h *umem.Header) { s.post(h) }

// post takes a packet apart into the packets of the wire.
func (s *Sender) post(h *umem.Header) {
	// What GRO verified needs no look; what it found partial does, and what it did not look at.
	check := h.Csum == umem.CsumPartial || h.Csum == umem.CsumUnknown
	for first := h; first != nil; {
		n, size := 1, int(first.Len)
		next := s.u.Deref(first.Seg)
		for next != nil && next.Kind != umem.Segment {
			n++
			size += int(next.Len)
			next = s.u.Deref(next.Seg)
		}
		if why, ok := s.packet(first, n, size, check); !ok {
			s.drop(first, n, why)
		}
		first = next
	}
}

// packet posts one packet of the wire, n buffers and size bytes, or says why not.
func (s *Sender) packet(first *umem.Header, n, size int, check bool) (Reason, bool) {
	switch {
	case s.err != nil:
		return Gone, false
	case s.down:
		return Down, false
	case first.Len < ethLen:
		return Short, false
	}
	if s.cfg.Tags {
		if m := first.Meta(s.off); m.Flags&umem.VLANHW != 0 {
			if !s.tag(first, m) {
				return NoRoom, false
			}
			size += tagLen
		}
	}
	b := first.Bytes()
	if s.cfg.MTU > 0 && size > s.cfg.MTU+ethLen && size-linkLen(b) > s.cfg.MTU {
		return TooLong, false
	}
	if s.room < n && !s.makeRoom(n) {
		return Full, false
	}
	if s.cfg.SwapMAC {
		swapMAC(b)
	}
	if check {
		s.complete(first, b, size)
	}
	s.Stats.Packets++
	s.Stats.Bytes += uint64(size)
	s.room -= n
	for f := first; ; f = s.u.Deref(f.Seg) {
		d := sys.XDPDesc{Addr: s.u.Address(f), Len: f.Len}
		if n--; n > 0 {
			d.Options = sys.XDPPktContd
		}
		s.cfg.Ring.Reserve(1)[0] = d
		s.cfg.Ring.Advance(1)
		if n == 0 {
			return 0, true
		}
	}
}

// drop frees n buffers that were not posted.
func (s *Sender) drop(f *umem.Header, n int, why Reason) {
	s.Stats.Drops[why]++
	for ; n > 0; n-- {
		next := s.u.Deref(f.Seg)
		s.cfg.Pool.Recall(f)
		f = next
	}
}

// Drop releases a delivered packet, on behalf of whoever would not or could not have it sent, and counts it.
func (s *Sender) Drop(h *umem.Header, gen uint32, why Reason) {
	s.Stats.Drops[why] += uint64(h.Segs)
	s.cfg.Pool.ReleaseLocal(h, gen)
}

// makeRoom makes the kernel send for the sake of n more descriptors.
func (s *Sender) makeRoom(n int) bool {
	if s.room = s.cfg.Ring.Free(); s.room >= n {
		return true
	}
	s.kick()
	s.Reap()
	s.room = s.cfg.Ring.Free()
	return s.room >= n && s.err == nil && !s.down
}

// Flush makes the kernel send what was posted, and takes back what has been sent.
func (s *Sender) Flush() {
	if s.err == nil && (s.down || s.cfg.Ring.Level() > 0) {
		s.kick()
	}
	s.Reap()
}

// kernelBatch is how many packets the kernel sends in one call, in copy mode: TX_BATCH_SIZE in net/xdp/xsk.c, v6.18.
const kernelBatch = 32

// kick publishes what was posted and makes the kernel send it.
func (s *Sender) kick() {
	s.cfg.Ring.Submit()
	if s.cfg.ZeroCopy {
		if s.cfg.Ring.NeedWakeup() || s.down {
			s.call()
		}
		return
	}
	level := s.cfg.Ring.Level()
	for calls, most := 0, level/kernelBatch+2; calls < most && calls < 2*level+2; calls++ {
		if s.call() == syscall.EBUSY {
			most++ // one packet is gone: the others can still go
		}
		if s.err != nil || s.down || s.cfg.Ring.Level() == 0 {
			return
		}
		s.Reap() // the kernel sends no more than completions find room for
	}
}

// call is one sendto. The errnos are those of __xsk_sendmsg and __xsk_generic_xmit (net/xdp/xsk.c, v6.18).
func (s *Sender) call() error {
	s.Stats.Kicks++
	err := s.cfg.Kick()
	s.down = err == syscall.ENETDOWN
	switch err {
	case nil, syscall.EAGAIN, syscall.ENOBUFS, syscall.ENETDOWN: // more to send, no memory for it now; down
	case syscall.EBUSY:
		if !s.cfg.ZeroCopy { // NET_XMIT_DROP: completed, but not sent
			s.Stats.Drops[Refused]++
		}
	default:
		s.err = err
	}
	return err
}

// Reap frees the frames that have been sent. What is wrong with a completion is counted by the pool.
func (s *Sender) Reap() {
	c := s.cfg.Completions
	got := false
	for {
		addrs := c.Peek(64)
		if len(addrs) == 0 {
			break
		}
		for _, a := range addrs {
			if s.cfg.Pool.Completed(a) == umem.NoFault {
				s.Stats.Completed++
			}
		}
		c.Advance(len(addrs))
		got = true
	}
	if got {
		c.Release()
	}
}

// Waits reports whether packets wait on the tx ring that the kernel did not take when it was last told to, or that
// can't go because the interface is down: Flush should be called again soon.
func (s *Sender) Waits() bool {
	return s.err == nil && (s.down || !s.cfg.ZeroCopy && s.cfg.Ring.Level() > 0)
}

// Drain sends what was posted and waits until every frame has come back, the interface is down or gone, or patience
// ends. It returns how many have not come back: they are free when the socket is closed (umem.Pool.TakeBackSent).
func (s *Sender) Drain(patience time.Duration) int {
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Microsecond) {
		s.Flush()
		n := s.cfg.Pool.In(umem.Sending)
		if n == 0 || s.down || s.err != nil || time.Now().After(deadline) {
			return n
		}
		if s.cfg.ZeroCopy && s.cfg.Ring.NeedWakeup() {
			s.call()
		}
	}
}
