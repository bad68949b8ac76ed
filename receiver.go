package xrx

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"xrx/bpf"
	"xrx/fillring"
	"xrx/gro"
	"xrx/internal/netdev"
	"xrx/internal/sys"
	"xrx/umem"
	"xrx/xsk"
)

// ErrDeleted is returned by Run when the interface was deleted, or moved to another network namespace.
var ErrDeleted = errors.New("xrx: the interface was deleted")

// ErrLifeline is returned by Open when taking all traffic would cut the machine off; Config.TakeAll overrides it.
var ErrLifeline = errors.New("refusing to take all of its traffic")

// Receiver receives from one interface. Open it, Run it (once or several times), Close it.
type Receiver struct {
	iface  netdev.Info
	cfg    Config
	mode   Mode
	prog   *bpf.Program
	link   *bpf.Attachment
	watch  *netdev.Watch
	queues []*Queue
	opened time.Time

	mu      sync.Mutex
	running bool
	closed  bool
}

// Open prepares everything for receiving from an interface of the calling thread's network namespace: memory, XDP
// program, sockets. Packets keep going to the kernel until Run. On error nothing is left behind.
func Open(iface string, cfg *Config) (r *Receiver, err error) {
	r = &Receiver{opened: time.Now()}
	if cfg != nil {
		r.cfg = *cfg
	}
	if err := r.cfg.Validate(); err != nil {
		return nil, err
	}
	if r.iface, err = netdev.Get(iface); err != nil {
		return nil, fmt.Errorf("xrx: %w", err)
	}
	if why := netdev.Lifeline(r.iface); why != "" && !r.cfg.TakeAll {
		return nil, fmt.Errorf("xrx: %s: %w: %s; receive on another interface, or say TakeAll (--take-all) if you mean it", iface, ErrLifeline, why)
	}
	ids, err := r.cfg.queues(r.iface)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.release())
			r = nil
		}
	}()
	if err = r.attach(ids); err != nil {
		return r, err
	}
	for i, id := range ids {
		q, err := r.openQueue(i, id)
		if q != nil {
			r.queues = append(r.queues, q) // also when it failed half-way: release takes it down
		}
		if err != nil {
			return r, err
		}
	}
	r.watch, err = netdev.NewWatch(r.iface.Index)
	return r, err
}

// queues returns the rx queues to bind, in order, checked against what the interface has.
func (c *Config) queues(i netdev.Info) ([]int, error) {
	if len(c.Queues) == 0 {
		ids := make([]int, i.Queues)
		for n := range ids {
			ids[n] = n
		}
		return ids, nil
	}
	ids := slices.Clone(c.Queues)
	slices.Sort(ids)
	for n, id := range ids {
		switch {
		case id < 0 || id >= i.Queues:
			return nil, fmt.Errorf("xrx: %s has rx queues 0 to %d, not %d (ethtool -l %s)", i.Name, i.Queues-1, id, i.Name)
		case n > 0 && id == ids[n-1]:
			return nil, fmt.Errorf("xrx: queue %d is named twice", id)
		}
	}
	return ids, nil
}

func (r *Receiver) attach(ids []int) (err error) {
	opts := bpf.Options{Symmetric: r.cfg.SymmetricHash, Seed: rand.Uint64(), MaxQueues: slices.Max(ids) + 1}
	if r.cfg.HWMeta {
		opts.HWMeta, opts.HWHash, opts.IfIndex = true, !r.cfg.SymmetricHash, r.iface.Index
	}
	if r.prog, err = bpf.Load(opts); err != nil {
		return fmt.Errorf("xrx: %w", err)
	}
	mode := r.cfg.Attach
	if r.cfg.Bind == xsk.ZeroCopy {
		mode = bpf.Native // with a program in generic mode the kernel takes the bind, and then loses packets
	}
	if r.link, err = r.prog.Attach(r.iface.Index, mode); err != nil {
		return fmt.Errorf("xrx: %s: %w", r.iface.Name, err)
	}
	r.mode.attached(r.link)
	if r.cfg.HWMeta && r.cfg.Attach == bpf.Generic {
		r.mode.note("no hardware metadata: the program that asks the device for it is bound to the device and runs in native mode only")
	}
	if missing := r.iface.Queues - len(ids); missing > 0 {
		r.mode.note("%d of %d rx queues are not bound: what the interface steers there goes to the kernel, not to xrx (bind all, or steer with ethtool -X)", missing, r.iface.Queues)
	}
	return nil
}

// linkHeader is the most that precedes an IP packet of MTU bytes: Ethernet and two VLAN tags.
const linkHeader = 14 + 2*4

// openQueue makes queue number n: frames, socket, full fill ring, bind. The fill ring comes before the bind because
// drivers take all descriptors at once when they are bound.
func (r *Receiver) openQueue(n, id int) (q *Queue, err error) {
	q = &Queue{id: id, cfg: &r.cfg, receiver: r, metaRefused: r.prog.MetaRefused, cpu: -1, event: -1}
	if len(r.cfg.CPUs) > 0 {
		q.cpu = r.cfg.CPUs[n%len(r.cfg.CPUs)]
	}
	if q.mem, err = umem.New(r.cfg.region()); err != nil {
		return q, fmt.Errorf("xrx: %w", err)
	}
	if q.mem.HugeErr != nil && n == 0 {
		r.mode.note("normal pages: %v", q.mem.HugeErr)
	}
	pools, err := q.mem.Split(1)
	if err != nil {
		return q, fmt.Errorf("xrx: %w", err)
	}
	q.pool, q.packetOffset = pools[0], q.mem.PacketOffset()
	q.in = make([]*umem.Header, 0, r.cfg.Budget)
	q.out = make([]Packet, 0, r.cfg.Budget)
	if r.cfg.GRO != nil {
		g := *r.cfg.GRO
		if g.MTU == 0 {
			g.MTU = r.iface.MTU // longer ones were merged by the kernel already (generic mode)
		}
		if q.gro, err = gro.New(q.pool, g); err != nil {
			return q, fmt.Errorf("xrx: %w", err)
		}
	}
	if q.event, err = sys.NewEvent(); err != nil {
		return q, fmt.Errorf("xrx: eventfd: %w", err)
	}
	q.sock, err = xsk.Open(xsk.Config{Umem: q.mem, IfIndex: r.iface.Index, Iface: r.iface.Name, Queue: id,
		FillSize: r.cfg.RingSize, RxSize: r.cfg.RxSize, NoNeedWakeup: r.cfg.NoNeedWakeup,
		SG: r.cfg.MultiBuffer || r.iface.MTU+linkHeader > q.mem.Usable()})
	if err != nil {
		return q, fmt.Errorf("xrx: queue %d: %w", id, err)
	}
	q.fds = sys.NewPollFds(q.sock.FD(), int(q.event))
	q.gather = gatherer{most: max(0, r.cfg.Gather), room: uint64(min(r.cfg.RingSize, r.cfg.RxSize)) / 2}
	q.fill = fillring.New(q.sock.Fill, q.pool)
	q.fill.Refill()
	tried, err := q.sock.Bind(r.cfg.Bind, r.link.Mode() == bpf.Native)
	if err != nil {
		return q, fmt.Errorf("xrx: %w", err)
	}
	if n == 0 {
		r.mode.bound(q.sock.Mode(), tried, r.link.Mode())
	} else if got := q.sock.Mode().String(); got != r.mode.Bind {
		r.mode.note("queue %d is bound in another mode than the first: %s", id, got)
	}
	if r.cfg.Busy {
		err := q.sock.BusyPoll(20, r.cfg.Budget)
		if err != nil {
			r.mode.note("busy polling without the driver's help: %v", err)
		}
		q.driven = err == nil && q.sock.Mode() == xsk.ZeroCopy
	}
	return q, nil
}

// Run receives until ctx is done (it then returns nil), the interface is deleted (ErrDeleted), or a queue fails. It
// takes the interface's traffic when it starts and gives it back before it returns; everything received by then has
// been handed to c, and what c still holds stays valid.
func (r *Receiver) Run(ctx context.Context, c Consumer) error {
	if c == nil {
		return errors.New("xrx: Run needs a Handler or a BatchHandler")
	}
	r.mu.Lock()
	if r.closed || r.running {
		r.mu.Unlock()
		return errors.New("xrx: Run on a receiver that is running or closed")
	}
	r.running = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.running = false
		r.mu.Unlock()
	}()

	stop := make(chan struct{})
	ended := make(chan error, len(r.queues))
	for _, q := range r.queues {
		go func() { ended <- q.run(c, stop) }()
	}
	left, err := r.wait(ctx, ended)
	close(stop)
	for _, q := range r.queues {
		q.event.Signal()
	}
	errs := []error{err}
	for ; left > 0; left-- {
		errs = append(errs, <-ended)
	}
	return joinOnce(errs)
}

// wait returns when it is time to stop, with the reason and the number of queues that still run.
func (r *Receiver) wait(ctx context.Context, ended <-chan error) (left int, err error) {
	for {
		select {
		case <-ctx.Done():
			return len(r.queues), nil
		case err := <-ended:
			return len(r.queues) - 1, err
		case e := <-r.watch.C:
			if e == netdev.Deleted {
				return len(r.queues), fmt.Errorf("%w: %s", ErrDeleted, r.iface.Name)
			}
		}
	}
}

// joinOnce joins errors, saying each thing once: every queue finds out by itself that the interface has gone.
func joinOnce(errs []error) error {
	var out []error
	for _, e := range errs {
		if e != nil && !slices.ContainsFunc(out, func(o error) bool { return o.Error() == e.Error() }) {
			out = append(out, e)
		}
	}
	if len(out) == 1 {
		return out[0]
	}
	return errors.Join(out...)
}

// Close detaches the program, waits up to CloseTimeout for packets that consumers still hold, closes the sockets and
// unmaps the memory. Memory under a consumer's hands is never unmapped: if packets are still out, Close says how many
// (*HeldError), frees everything else, and may be called again when they are released.
func (r *Receiver) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running {
		return errors.New("xrx: Close while Run is running: cancel its context and wait for it")
	}
	r.closed = true
	return r.release()
}

func (r *Receiver) release() error {
	var errs []error
	if r.watch != nil {
		r.watch.Close()
		r.watch = nil
	}
	if r.link != nil {
		errs = append(errs, r.link.Close())
		r.link = nil
	}
	if r.prog != nil {
		errs = append(errs, r.prog.Close())
		r.prog = nil
	}
	held := &HeldError{}
	deadline := time.Now().Add(r.cfg.CloseTimeout)
	for _, q := range r.queues {
		errs = append(errs, q.close(deadline, held))
	}
	if held.Packets > 0 {
		errs = append(errs, held)
	}
	return errors.Join(errs...)
}

// HeldError says that consumers had not released everything when Close ran out of patience.
type HeldError struct {
	Packets int // frames still held
	Queues  []int
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("xrx: %d frames of queues %v are still held by consumers: their memory stays mapped until they are released and Close is called again", e.Packets, e.Queues)
}

// close ends the queue, half-made or whole; it runs after the queue's goroutine has gone.
func (q *Queue) close(deadline time.Time, held *HeldError) error {
	var errs []error
	if q.pool != nil {
		for q.pool.Reclaim(); q.pool.In(umem.Delivered) > 0 && time.Now().Before(deadline); q.pool.Reclaim() {
			time.Sleep(time.Millisecond)
		}
	}
	if q.sock != nil {
		errs = append(errs, q.sock.Close())
		q.sock = nil
		q.pool.TakeBack()
	}
	if q.event >= 0 {
		errs = append(errs, q.event.Close())
		q.event = -1
	}
	if q.mem == nil {
		return errors.Join(errs...)
	}
	if q.pool != nil && q.pool.In(umem.Delivered) > 0 {
		held.Packets += q.pool.In(umem.Delivered)
		held.Queues = append(held.Queues, q.id)
		return errors.Join(errs...)
	}
	if q.pool != nil {
		q.final, q.pool = q.pool.Audit(), nil
	}
	errs = append(errs, q.mem.Close())
	q.mem = nil
	return errors.Join(errs...)
}

// Interface returns the name of the interface.
func (r *Receiver) Interface() string { return r.iface.Name }

// Mode returns what was negotiated.
func (r *Receiver) Mode() Mode { return r.mode }
