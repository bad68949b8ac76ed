package xrx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"

	"xrx/internal/netdev"
	"xrx/stats"
	"xrx/txring"
	"xrx/umem"
	"xrx/xsk"
)

// ForwardConfig says how to forward. nil, and the zero value of every field, mean the documented default.
type ForwardConfig struct {
	Config // how both interfaces receive. HWMeta is always asked for: without it a VLAN tag that a device strips is lost

	OneWay  bool // only what arrives on the first interface is forwarded; default: both ways, like a wire
	SwapMAC bool // source and destination MAC change places
	TxSize  int  // descriptors in each tx ring, a power of two; default half of RingSize

	// Filter is asked about each packet, as GRO made it: false drops it (tx_filtered). It is called on the queues'
	// goroutines, several at once. It may write into the packet's bytes; a packet that it retained is not sent
	// (tx_shared). Default: everything is sent.
	Filter func(Packet) bool
}

// Direction is one way of a Forwarder.
type Direction struct {
	In, Out string
	Mode    Mode
}

// Forwarder sends what arrives on one interface out of another, and the reverse, from the frames that it arrived in:
// nothing is copied. What GRO merged goes out as the packets that arrived, byte for byte.
//
// It is a wire: packets to this machine's own addresses are forwarded too, unless Match leaves them to the kernel.
type Forwarder struct {
	receivers []*Receiver // one for each direction
	outs      []string
	pair      *pairing
	promisc   []*netdev.Promiscuous
	watch     *netdev.Watch // of the second interface, where nothing is received on it

	mu     sync.Mutex
	closed bool
}

// OpenForward prepares forwarding between two interfaces of the calling thread's network namespace; packets keep going
// to the kernel until Run. Both may be the same, with SwapMAC: a reflector. On error nothing is left behind.
//
// Queue n of one goes to queue n of the other, so both must have as many, or Queues say which.
func OpenForward(in, out string, cfg *ForwardConfig) (*Forwarder, error) {
	var c ForwardConfig
	if cfg != nil {
		c = *cfg
	}
	if err := c.prepare(in, out); err != nil {
		return nil, err
	}
	f, err := openForward(in, out, c)
	if err != nil && c.Bind == xsk.Auto && in != out && f == nil {
		// Both sides of a UMEM are bound alike: where one has no zero-copy, neither uses it.
		c.Bind = xsk.Copy
		if g, e := openForward(in, out, c); e == nil {
			for _, r := range g.receivers {
				r.mode.note("copy on both sides, since zero-copy failed: %v", err)
			}
			return g, nil
		}
	}
	return f, err
}

// prepare validates, and settles what both sides must agree on.
func (c *ForwardConfig) prepare(in, out string) error {
	c.sends = true
	if err := c.Validate(); err != nil {
		return err
	}
	if c.TxSize == 0 {
		c.TxSize = max(1, c.RingSize/2)
	}
	a, err := netdev.Get(in)
	if err != nil {
		return fmt.Errorf("xrx: %w", err)
	}
	b, err := netdev.Get(out)
	if err != nil {
		return fmt.Errorf("xrx: %w", err)
	}
	ids, err := c.queues(a)
	if err != nil {
		return err
	}
	most := slices.Max(ids)
	switch {
	case c.Helper != "":
		return errors.New("xrx: forward: a helper gives sockets to receivers only")
	case c.Workers != 0 || c.Quota != 0:
		return errors.New("xrx: forward: Workers and Quota are for consumers: packets are sent on by the goroutine that receives them, and nobody keeps any")
	case in == out && !c.SwapMAC:
		return fmt.Errorf("xrx: forward from %s to itself: without SwapMAC (--swap-mac) every packet would go back with the addresses that it came with", in)
	case c.TxSize < 1 || c.TxSize&(c.TxSize-1) != 0:
		return fmt.Errorf("xrx: tx ring of %d descriptors: the kernel takes powers of two", c.TxSize)
	case most >= b.TxQueues:
		return fmt.Errorf("xrx: forward from queue %d of %s: %s has tx queues 0 to %d: give both as many (ethtool -L %s), or choose queues that both have (--queues)", most, in, out, b.TxQueues-1, out)
	case !c.OneWay && (most >= b.Queues || most >= a.TxQueues):
		return fmt.Errorf("xrx: forward between queue %d of %s and %s: one has no such rx or tx queue: give both as many (ethtool -L), or choose queues that both have (--queues)", most, in, out)
	case !c.OneWay && len(c.Queues) == 0 && b.Queues != a.Queues:
		return fmt.Errorf("xrx: forward between %s with %d rx queues and %s with %d: what arrives on the others would not be forwarded: give both as many (ethtool -L), or say which (--queues)", in, a.Queues, out, b.Queues)
	}
	c.HWMeta = true
	c.fit(a)
	c.fit(b)
	if room := (umem.Config{ChunkSize: max(c.ChunkSize, 2048), Headroom: cmp.Or(c.Headroom, umem.DefaultHeadroom)}); max(a.MTU, b.MTU)+linkHeader > room.ChunkSize-room.Headroom-umem.PacketHeadroom && c.MultiBuffer == MultiBufferAuto {
		c.MultiBuffer = MultiBufferOn // the first socket decides for both
	}
	if c.OneWay && in != out && c.Bind == xsk.Auto {
		c.Bind = xsk.Copy // a zero-copy socket that only sends would take the second interface's rx queue too
	}
	return nil
}

func openForward(in, out string, c ForwardConfig) (f *Forwarder, err error) {
	f = &Forwarder{pair: &pairing{sides: 1, tx: c.TxSize, sender: map[*Receiver]*Receiver{}}}
	if in != out && !c.OneWay {
		f.pair.sides = 2
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
			f = nil
		}
	}()
	if err = f.receive(in, out, c.Config); err != nil {
		return f, err
	}
	if f.pair.sides == 2 {
		back := c.Config
		if n := len(back.CPUs); n > 0 { // the next processors
			k := len(f.receivers[0].queues) % n
			back.CPUs = append(slices.Clone(back.CPUs[k:]), back.CPUs[:k]...)
		}
		if err = f.receive(out, in, back); err != nil {
			return f, err
		}
	}
	to, err := netdev.Get(out)
	if err != nil {
		return f, fmt.Errorf("xrx: %w", err)
	}
	if in != out && f.pair.sides == 1 {
		if f.watch, err = netdev.NewWatch(to.Index); err != nil {
			return f, err
		}
	}
	for i, r := range f.receivers {
		if in == out || f.pair.sides == 2 {
			f.pair.sender[f.receivers[len(f.receivers)-1-i]] = r
		}
		mtu := f.receivers[len(f.receivers)-1-i].iface.MTU // the other side's
		if f.pair.sides == 1 {
			mtu = to.MTU
		}
		if !r.mode.HWMeta {
			r.mode.note("a VLAN tag that %s takes off is lost, since the program can't ask for it: if it does, switch that off (ethtool -K %s rxvlan off)", r.iface.Name, r.iface.Name)
		}
		if in != out {
			p, err := netdev.NewPromiscuous(r.iface.Index)
			if err != nil {
				return f, fmt.Errorf("xrx: %s: %w", r.iface.Name, err)
			}
			f.promisc = append(f.promisc, p)
		}
		for n, q := range r.queues {
			sock, err := f.socket(r, q, n, to)
			if err != nil {
				return f, err
			}
			q.tx = &onward{sock: sock, pool: q.pool, iface: f.outs[i], filter: c.Filter, Sender: txring.New(txring.Config{Ring: sock.Tx, Completions: sock.Comp, Pool: q.pool,
				Kick: sock.SendTx, ZeroCopy: sock.Mode() == xsk.ZeroCopy, MTU: mtu, SwapMAC: c.SwapMAC, Tags: r.mode.HWMeta})}
		}
	}
	return f, nil
}

// receive opens the receiver of one direction.
func (f *Forwarder) receive(in, out string, c Config) error {
	r := &Receiver{cfg: c, pair: f.pair}
	if err := r.open(in); err != nil {
		return err
	}
	f.receivers, f.outs = append(f.receivers, r), append(f.outs, out)
	return nil
}

// socket returns the socket that queue number n of r sends on: of the other side's queue, of its own where it reflects,
// or one that only sends.
func (f *Forwarder) socket(r *Receiver, q *Queue, n int, to netdev.Info) (*xsk.Socket, error) {
	if f.pair.sides == 2 {
		other := f.receivers[0]
		if r == other {
			other = f.receivers[1]
		}
		return other.queues[n].sock, nil
	}
	if to.Index == r.iface.Index {
		return q.sock, nil
	}
	s, err := xsk.Open(xsk.Config{Umem: q.mem, IfIndex: to.Index, Iface: to.Name, Queue: q.id, FillSize: 64, RxSize: 64, TxSize: f.pair.tx, Share: f.pair.share})
	if err == nil {
		_, err = s.Bind(xsk.Auto, false)
	}
	if err != nil {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
		return nil, fmt.Errorf("xrx: %w", err)
	}
	return s, nil
}

// Run forwards until ctx is done (it then returns nil), an interface is deleted (ErrDeleted), or a queue fails. Before
// it returns, what arrived has been sent, as far as the interfaces are up.
func (f *Forwarder) Run(ctx context.Context) error {
	f.mu.Lock()
	closed := f.closed
	f.mu.Unlock()
	if closed {
		return errors.New("xrx: Run on a forwarder that is closed")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(f.receivers))
	for _, r := range f.receivers {
		go func() {
			ended <- r.Run(ctx, forwarding{})
			cancel() // one way alone is no wire
		}()
	}
	var errs []error
	var events <-chan netdev.Event
	if f.watch != nil {
		events = f.watch.C
	}
	for left := len(f.receivers); left > 0; {
		select {
		case err := <-ended:
			errs = append(errs, err)
			left--
		case e := <-events:
			switch e.Kind {
			case netdev.MTU:
				f.receivers[0].sendMTU(e.Now.MTU)
			case netdev.Deleted:
				errs = append(errs, fmt.Errorf("%w: %s", ErrDeleted, f.outs[0]))
				cancel()
			}
		}
	}
	return joinOnce(errs)
}

// Close gives everything back: programs, sockets, memory. Frames that could not be sent are dropped with it.
func (f *Forwarder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	f.closed = true
	if f.watch != nil {
		f.watch.Close()
		f.watch = nil
	}
	for _, r := range f.receivers {
		errs = append(errs, r.Close())
	}
	for _, p := range f.promisc {
		errs = append(errs, p.Close())
	}
	f.promisc = nil
	if err := errors.Join(errs...); err != nil {
		return err // the memory may still be in use: Close can be called again
	}
	if f.pair.mem == nil {
		return nil
	}
	err := f.pair.mem.Close()
	f.pair.mem = nil
	return err
}

// Directions returns the ways that packets go: one, or there and back.
func (f *Forwarder) Directions() []Direction {
	list := make([]Direction, len(f.receivers))
	for i, r := range f.receivers {
		list[i] = Direction{In: r.iface.Name, Out: f.outs[i], Mode: r.mode}
	}
	return list
}

// Snapshot returns the counters of a direction, by its place in Directions. CPU is the whole process's.
func (f *Forwarder) Snapshot(direction int) stats.Snapshot {
	f.mu.Lock() // not while Close takes things away
	defer f.mu.Unlock()
	return f.receivers[direction].Snapshot()
}

// Ledger returns where every frame of every queue is, in both directions.
func (f *Forwarder) Ledger() (l umem.Ledger) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.receivers {
		l = l.Add(r.Ledger())
	}
	return l
}

// Registered reports whether every queue receives now: the moment from which Run has taken the traffic.
func (f *Forwarder) Registered() bool {
	return !slices.ContainsFunc(f.receivers, func(r *Receiver) bool { return !r.Registered() })
}

func isGone(err error) bool { return errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.ENODEV) }
