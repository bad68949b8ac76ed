// Package xsk is one AF_XDP socket: it registers the UMEM, maps the rings, binds to a queue by the best mode that
// works, wakes the kernel, reads its statistics, and gives everything back on Close.
//
// The order that every driver accepts: Open (socket, UMEM, ring sizes, mappings) -> fill the fill ring -> Bind ->
// receive -> Close. A driver in zero-copy mode takes all fill descriptors at once when it is bound, so they must be
// there before; the kernel refuses to make rings after bind (EBUSY).
package xsk

import (
	"errors"
	"fmt"
	"math/bits"

	"xrx/internal/ring"
	"xrx/internal/stage"
	"xrx/internal/sys"
	"xrx/umem"
)

// Desc is an rx or tx descriptor: address within the UMEM, length in bytes, options (struct xdp_desc).
type Desc = sys.XDPDesc

// PktContd is the descriptor option that says the packet goes on in the next one (XDP_USE_SG).
const PktContd = sys.XDPPktContd

// Config says what to open. IfIndex and Umem are required; zero sizes mean their defaults.
type Config struct {
	FD           int // an AF_XDP socket, not bound yet, that a more privileged process has made; it is the Socket's from now on. 0: Open makes one
	Umem         *umem.Umem
	IfIndex      int
	Iface        string  // for messages
	Queue        int     // rx queue of the interface
	FillSize     int     // descriptors, a power of two; default 2048
	RxSize       int     // descriptors, a power of two; default 2048
	CompSize     int     // descriptors, a power of two; default 64 without TxSize, else as TxSize
	TxSize       int     // descriptors, a power of two; 0 = no tx ring
	NoNeedWakeup bool    // don't ask for XDP_USE_NEED_WAKEUP
	SG           bool    // XDP_USE_SG: packets may span several descriptors
	Share        *Socket // a socket whose UMEM registration this one uses (XDP_SHARED_UMEM), with rings of its own
}

func (c *Config) validate() error {
	if c.Umem == nil || c.IfIndex <= 0 {
		return errors.New("xsk: Config needs Umem and IfIndex")
	}
	if c.Iface == "" {
		c.Iface = fmt.Sprintf("interface %d", c.IfIndex)
	}
	for _, r := range []struct {
		name string
		size *int
		def  int
	}{{"fill", &c.FillSize, 2048}, {"rx", &c.RxSize, 2048}, {"completion", &c.CompSize, max(64, c.TxSize)}} {
		if *r.size == 0 {
			*r.size = r.def
		}
		if err := checkRing(r.name, *r.size); err != nil {
			return err
		}
	}
	if c.TxSize != 0 {
		if err := checkRing("tx", c.TxSize); err != nil {
			return err
		}
	}
	if c.Queue < 0 {
		return fmt.Errorf("xsk: queue %d: queues count from 0", c.Queue)
	}
	if c.Share != nil && c.Share.cfg.Umem != c.Umem {
		return errors.New("xsk: Share is a socket on another UMEM")
	}
	return nil
}

func checkRing(name string, size int) error {
	if size < 1 || size > 1<<21 || bits.OnesCount(uint(size)) != 1 {
		return fmt.Errorf("xsk: %s ring of %d descriptors: the kernel takes powers of two (1 to %d); try %d", name, size, 1<<21, min(1<<21, 1<<bits.Len(uint(max(size, 1)-1))))
	}
	return nil
}

// Socket is an open AF_XDP socket. Its rings belong to the queue's goroutine; Stats may be called from anywhere.
type Socket struct {
	cfg  Config
	fd   int
	mode Mode
	maps [][]byte

	Fill *ring.Producer[uint64] // chunk addresses for the kernel
	Rx   *ring.Consumer[Desc]
	Comp *ring.Consumer[uint64] // chunk addresses that have been sent
	Tx   *ring.Producer[Desc]   // nil without TxSize
}

// Open makes the socket with its UMEM and rings; it is not bound yet. On error nothing is left open.
func Open(cfg Config) (s *Socket, err error) {
	s = &Socket{cfg: cfg, fd: -1}
	if cfg.FD > 0 {
		s.fd = cfg.FD
	}
	defer func() {
		if err != nil {
			s.Close()
			s = nil
		}
	}()
	if err = s.cfg.validate(); err != nil {
		return s, err
	}
	cfg = s.cfg
	if s.fd < 0 {
		if s.fd, err = sys.XSKSocket(); err != nil {
			return s, s.failed("socket(AF_XDP)", err)
		}
	}
	stage.At("socket")
	if cfg.TxSize != 0 { // in copy mode each packet on its way is an skb: room for a ring of them
		sys.SendBuffer(s.fd, cfg.TxSize*4096) // refused: the kernel says EAGAIN sooner, no more
	}
	if cfg.Share == nil {
		g := cfg.Umem.Config()
		var flags uint32
		if g.Unaligned {
			flags = sys.XDPUnaligned
		}
		if err = sys.XSKRegister(s.fd, cfg.Umem.Memory(), g.ChunkSize, g.Headroom, flags); err != nil {
			return s, s.failed("XDP_UMEM_REG", err)
		}
	}
	stage.At("umem registered")
	return s, s.mapRings()
}

// Over makes a Socket of rings that are not the kernel's: for tests, with internal/fakekernel on the other side. It has
// no descriptor: the rings work, what would enter the kernel fails with EBADF.
func Over(fill ring.Memory[uint64], rx ring.Memory[Desc]) *Socket {
	return &Socket{fd: -1, mode: Copy, Fill: ring.NewProducer(fill), Rx: ring.NewConsumer(rx)}
}

func (s *Socket) mapRings() error {
	type spec struct {
		name string
		opt  int
		size int
	}
	for _, r := range []spec{{"XDP_UMEM_FILL_RING", sys.OptFillRing, s.cfg.FillSize}, {"XDP_UMEM_COMPLETION_RING", sys.OptCompletionRing, s.cfg.CompSize},
		{"XDP_RX_RING", sys.OptRxRing, s.cfg.RxSize}, {"XDP_TX_RING", sys.OptTxRing, s.cfg.TxSize}} {
		if r.size == 0 {
			continue
		}
		if err := sys.XSKRing(s.fd, r.opt, r.size); err != nil {
			return s.failed(r.name, err)
		}
	}
	off, err := sys.XSKOffsets(s.fd)
	if err != nil {
		return s.failed("XDP_MMAP_OFFSETS", err)
	}
	fill, err := mapRing[uint64](s, sys.OffFillRing, off.Fr, s.cfg.FillSize)
	if err != nil {
		return s.failed("map the fill ring", err)
	}
	comp, err := mapRing[uint64](s, sys.OffCompletionRing, off.Cr, s.cfg.CompSize)
	if err != nil {
		return s.failed("map the completion ring", err)
	}
	rx, err := mapRing[Desc](s, sys.OffRxRing, off.Rx, s.cfg.RxSize)
	if err != nil {
		return s.failed("map the rx ring", err)
	}
	s.Fill, s.Comp, s.Rx = ring.NewProducer(fill), ring.NewConsumer(comp), ring.NewConsumer(rx)
	if s.cfg.TxSize != 0 {
		tx, err := mapRing[Desc](s, sys.OffTxRing, off.Tx, s.cfg.TxSize)
		if err != nil {
			return s.failed("map the tx ring", err)
		}
		s.Tx = ring.NewProducer(tx)
	}
	return nil
}

// FD returns the socket's descriptor: for the XSKMAP and for poll.
func (s *Socket) FD() int { return s.fd }

// Queue returns the rx queue that the socket is for.
func (s *Socket) Queue() int { return s.cfg.Queue }

// MultiBuffer reports whether packets may span several descriptors: XDP_USE_SG was asked for.
func (s *Socket) MultiBuffer() bool { return s.cfg.SG }

// WakeRx tells the kernel to look at the fill ring: call it when Fill.NeedWakeup says so.
func (s *Socket) WakeRx() error { return sys.XSKWakeRx(s.fd) }

// WakeTx tells the kernel to send: call it when Tx.NeedWakeup says so.
func (s *Socket) WakeTx() error { return sys.XSKWakeTx(s.fd) }

// SendTx is WakeTx with the kernel's errno as it is. In copy mode the call sends (net/xdp/xsk.c, __xsk_generic_xmit):
// EAGAIN is more to send, or no memory for it now, EBUSY a packet that the driver did not take and that is lost.
func (s *Socket) SendTx() error { return sys.XSKSend(s.fd) }

// BusyPoll turns on preferred busy polling (SO_PREFER_BUSY_POLL): accepted everywhere, inert where the driver has no
// NAPI id (veth). us is the time per call in microseconds, budget the packets per call.
func (s *Socket) BusyPoll(us, budget int) error {
	if err := sys.BusyPoll(s.fd, us, budget); err != nil {
		return s.failed("SO_PREFER_BUSY_POLL", err)
	}
	return nil
}

// Close unmaps every ring and closes the socket: a ring that stays mapped would keep the queue busy for ever. The
// kernel tears the queue down a little later (a deferred work item); Bind retries for that. Close is idempotent.
func (s *Socket) Close() error {
	var errs []error
	for _, m := range s.maps {
		errs = append(errs, sys.Unmap(m))
	}
	s.maps = nil
	stage.At("rings unmapped")
	s.Fill, s.Rx, s.Comp, s.Tx = nil, nil, nil, nil
	if s.fd >= 0 {
		errs = append(errs, sys.Close(s.fd))
		s.fd = -1
	}
	return errors.Join(errs...)
}
