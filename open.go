package xrx

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"xrx/bpf"
	"xrx/fillring"
	"xrx/gro"
	"xrx/internal/netdev"
	"xrx/internal/stage"
	"xrx/umem"
	"xrx/xsk"
)

// Open prepares everything for receiving from an interface of the calling thread's network namespace: memory, XDP
// program, sockets. Packets keep going to the kernel until Run. On error nothing is left behind.
func Open(iface string, cfg *Config) (*Receiver, error) {
	r := &Receiver{}
	if cfg != nil {
		r.cfg = *cfg
	}
	if err := r.open(iface); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Receiver) open(iface string) (err error) {
	if err := r.cfg.Validate(); err != nil {
		return err
	}
	r.panics.hook = r.cfg.OnPanic
	if r.iface, err = netdev.Get(iface); err != nil {
		return fmt.Errorf("xrx: %w", err)
	}
	if r.matching, err = r.cfg.Expression(); err != nil {
		return err
	}
	if r.lifeline = netdev.Lifeline(r.iface); r.lifeline != "" && !r.cfg.spares() {
		return fmt.Errorf("xrx: %s: %w: %s; receive on another interface, choose packets with Match and KeepManagement (--match, --keep-management), or say TakeAll (--take-all) if you mean it", iface, ErrLifeline, r.lifeline)
	}
	ids, err := r.cfg.queues(r.iface)
	if err != nil {
		return err
	}
	r.cfg.fit(r.iface)
	defer func() {
		if err != nil {
			err = errors.Join(err, r.release())
		}
	}()
	stage.At("checked")
	if r.follow.namespace, err = netdev.CurrentNamespace(); err != nil {
		return fmt.Errorf("xrx: %w", err)
	}
	if r.watch, err = netdev.NewWatch(r.iface.Index); err != nil { // before attaching: some drivers take the link down for that
		return fmt.Errorf("xrx: %w", err)
	}
	r.follow.attached = time.Now()
	stage.At("watching")
	if err = r.attach(ids); err != nil {
		return err
	}
	r.watch.ExpectProgram()
	stage.At("attached")
	for _, id := range ids {
		r.queues = append(r.queues, &Queue{id: id, cfg: &r.cfg, receiver: r, metaRefused: r.prog.MetaRefused})
	}
	if err = r.memory(); err != nil {
		return err
	}
	stage.At("memory")
	for n, q := range r.queues {
		if err = r.openQueue(n, q); err != nil { // release takes down what was made of it
			return err
		}
		stage.At("queue open")
	}
	if err = r.openPollers(); err != nil {
		return err
	}
	r.places()
	stage.At("pollers")
	err = r.tune(ids)
	stage.At("open")
	return err
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
	r.seed = rand.Uint64()
	opts := bpf.Options{NoMeta: r.cfg.NoMeta, Symmetric: r.cfg.SymmetricHash, Seed: r.seed, MaxQueues: slices.Max(ids) + 1, Match: r.matching}
	if r.cfg.HWMeta {
		opts.HWMeta, opts.HWHash, opts.IfIndex = true, !r.cfg.SymmetricHash, r.iface.Index
	}
	mode := r.cfg.Attach
	if r.cfg.Bind == xsk.ZeroCopy {
		mode = bpf.Native // with a program in generic mode the kernel takes the bind, and then loses packets
	}
	if r.cfg.Helper != "" {
		err = r.askHelper(ids, opts, mode)
	} else {
		err = r.putProgram(opts, mode)
	}
	if err != nil {
		return fmt.Errorf("xrx: %s: %w", r.iface.Name, err)
	}
	r.mode.attached(r.link)
	if r.cfg.HWMeta && r.cfg.Attach == bpf.Generic {
		r.mode.note("no hardware metadata: the program that asks the device for it is bound to the device and runs in native mode only")
	}
	return nil
}

// linkHeader is the most that precedes an IP packet of MTU bytes: Ethernet and two VLAN tags.
const linkHeader = 14 + 2*4

// openQueue makes queue number n: socket, full fill ring, bind. The fill ring comes before the bind because drivers take
// all descriptors at once when they are bound.
func (r *Receiver) openQueue(n int, q *Queue) (err error) {
	if n := r.cfg.accounts(); n > 0 {
		q.pool.Accounts(n)
		q.limit = r.cfg.Quota
	}
	if r.cfg.Workers > 0 {
		q.outlet = newOutlet(r.cfg.Workers)
	}
	q.in = make([]*umem.Header, 0, r.cfg.Budget)
	q.out = make([]Packet, 0, r.cfg.Budget)
	if r.cfg.GRO != nil {
		g := *r.cfg.GRO
		g.NoMeta = g.NoMeta || r.cfg.NoMeta
		if g.MTU == 0 {
			g.MTU = r.iface.MTU // longer ones were merged by the kernel already (generic mode)
		}
		if q.gro, err = gro.New(q.pool, g); err != nil {
			return fmt.Errorf("xrx: %w", err)
		}
	}
	sock := xsk.Config{Umem: q.mem, IfIndex: r.iface.Index, Iface: r.iface.Name, Queue: q.id,
		FD: r.grant.TakeSocket(q.id), FillSize: r.cfg.RingSize, RxSize: r.cfg.RxSize, NoNeedWakeup: r.cfg.NoNeedWakeup, SG: r.sg(q.mem.Usable())}
	switch {
	case r.pair != nil:
		sock.TxSize, sock.Share = r.pair.tx, r.pair.share
	case r.cfg.SharedUmem && n > 0:
		sock.Share = r.queues[0].sock
	}
	if q.sock, err = xsk.Open(sock); err != nil {
		return fmt.Errorf("xrx: queue %d: %w", q.id, err)
	}
	q.fill = fillring.New(q.sock.Fill, q.pool)
	if r.cfg.posted > 0 {
		q.fill.Keep(r.cfg.posted)
	}
	q.fill.Refill()
	stage.At("filled")
	tried, err := q.sock.Bind(r.cfg.Bind, r.link.Mode() == bpf.Native)
	if err != nil {
		return fmt.Errorf("xrx: %w", err)
	}
	stage.At("bound")
	if r.pair != nil && r.pair.share == nil {
		r.pair.share = q.sock
	}
	if n == 0 {
		r.mode.bound(q.sock.Mode(), tried, r.link.Mode())
		if most := cut(q.mem.Usable(), r.iface); most > 0 && q.sock.Mode() == xsk.ZeroCopy {
			r.mode.note("driver %s receives frames of at most %d bytes whole into chunks of %d, and cuts longer ones: use larger chunks (--chunk 4096) or a smaller MTU", r.iface.Driver, most, q.mem.Config().ChunkSize)
		}
	} else if got := q.sock.Mode().String(); got != r.mode.Bind {
		r.mode.note("queue %d is bound in another mode than the first: %s", q.id, got)
	}
	if r.cfg.BusyPoll > 0 {
		err := q.sock.BusyPoll(int(r.cfg.BusyPoll/time.Microsecond), r.cfg.BusyBudget)
		if err != nil {
			r.mode.note("busy polling without the driver's help: %v", err)
		}
		q.driven = r.cfg.Busy && err == nil && q.sock.Mode() == xsk.ZeroCopy
	}
	return nil
}
