package privsep

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"time"

	"xrx/bpf"
	"xrx/internal/netdev"
	"xrx/internal/sys"
)

// session is one receiver. It belongs to its connection's goroutine, but for who.
type session struct {
	server *Server
	conn   *net.UnixConn
	who    sys.Peer

	iface   string // "" before open
	done    bool   // what it had is taken back
	info    netdev.Info
	prog    *bpf.Program // nil after detach
	link    *bpf.Attachment
	queues  []int
	sockets []int // of the queues, in order; the receiver has the same ones
}

// live answers until the receiver goes. An error is what ended it, or nil where it went by itself.
func (x *session) live() error {
	x.conn.SetReadDeadline(time.Now().Add(introTime))
	for {
		var q request
		fds, err := receive(x.conn, &q, 0)
		closeAll(fds)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			return nil
		case err == nil:
			err = q.check()
		}
		if err != nil {
			return errors.Join(err, send(x.conn, failed(err)))
		}
		answer, fds := x.answer(&q)
		x.conn.SetWriteDeadline(time.Now().Add(introTime))
		if err := send(x.conn, answer, fds...); err != nil {
			return err
		}
		if q.Op == opOpen {
			if answer.Error != "" {
				return errors.New(answer.Error)
			}
			x.conn.SetReadDeadline(time.Time{})
		}
	}
}

func failed(err error) *reply {
	return &reply{Version: Version, Error: err.Error(), Errno: errnoOf(err)}
}

func (x *session) answer(q *request) (_ *reply, fds []int) {
	r := &reply{Version: Version}
	var err error
	switch {
	case q.Op == opOpen && x.iface != "":
		err = errors.New("open for the second time: a connection is one receiver")
	case q.Op == opOpen:
		if fds, err = x.open(q, r); err != nil {
			err = errors.Join(err, x.release())
		}
	case q.Op == opDetach:
		err = x.release()
	case x.prog == nil:
		err = fmt.Errorf("%s: nothing is open", q.Op)
	case q.Op == opRegister, q.Op == opUnregister:
		n := slices.Index(x.queues, q.Queue)
		switch {
		case n < 0:
			err = fmt.Errorf("queue %d was not given: %s were", q.Queue, list(x.queues))
		case q.Op == opRegister:
			err = x.prog.Register(q.Queue, x.sockets[n])
		default:
			err = x.prog.Unregister(q.Queue)
		}
	case q.Op == opMatch:
		err = x.here(func() error { return x.match(q.Match, r) })
	case q.Op == opCondition:
		var c bpf.Condition
		c, err = x.link.Condition()
		r.Condition = int(c)
	case q.Op == opMend:
		err = x.here(x.link.Mend)
	}
	if err != nil {
		return failed(err), nil
	}
	return r, fds
}

// here runs f in the network namespace of the interfaces.
func (x *session) here(f func() error) error { return x.server.namespace.Do(f) }

func (x *session) open(q *request, r *reply) (fds []int, err error) {
	if err := x.server.policy.allows(q.Open); err != nil {
		return nil, err
	}
	if err := x.server.take(q.Open.Interface, x); err != nil {
		return nil, err
	}
	x.iface, x.queues = q.Open.Interface, q.Open.Queues
	if bytes := x.server.policy.LockedMemory; bytes > 0 {
		if err := sys.LockedMemory(x.conn, x.who.PID, bytes); err != nil {
			return nil, fmt.Errorf("raise the limit of locked memory of process %d: %w%s", x.who.PID, err, whyNotRaised(err))
		}
	}
	if err := x.here(func() error { return x.attach(q, r) }); err != nil {
		return nil, err
	}
	counts, told, err := x.prog.Share()
	if err != nil {
		return nil, err
	}
	r.IfIndex, r.Mode, r.HWMeta = x.info.Index, int(x.link.Mode()), x.link.HWMeta()
	for _, a := range x.link.Attempts() {
		r.Attempts = append(r.Attempts, attempt{int(a.Mode), a.HWMeta, a.Err.Error(), errnoOf(a.Err), a.Why})
	}
	x.server.log("process %d of user %d has %s, queues %s, %s", x.who.PID, x.who.UID, x.iface, list(x.queues), x.link.Mode())
	return append([]int{counts, told}, x.sockets...), nil
}

// attach puts the program on the interface, and makes the sockets: on a thread of their namespace.
func (x *session) attach(q *request, r *reply) (err error) {
	if x.info, err = netdev.Get(x.iface); err != nil {
		return err
	}
	if most := slices.Max(x.queues); most >= x.info.Queues {
		return fmt.Errorf("%s has rx queues 0 to %d, not %d (ethtool -l %s)", x.iface, x.info.Queues-1, most, x.iface)
	}
	e, err := x.server.policy.expression(q.Match, x.info)
	if err != nil {
		return err
	}
	o := bpf.Options{NoMeta: q.Open.NoMeta, Symmetric: q.Open.Symmetric, Seed: q.Open.Seed, MaxQueues: slices.Max(x.queues) + 1, Match: e}
	if q.Open.HWMeta {
		o.HWMeta, o.HWHash, o.IfIndex = true, q.Open.HWHash, x.info.Index
	}
	if x.prog, err = bpf.Load(o); err != nil {
		x.prog = nil
		return err
	}
	if x.link, err = x.prog.Attach(x.info.Index, bpf.Mode(q.Open.Attach)); err != nil {
		return err
	}
	r.Match = e.String()
	for _, n := range x.queues {
		fd, err := sys.XSKSocket()
		if err != nil {
			return fmt.Errorf("socket(AF_XDP) for queue %d: %w%s", n, err, sys.Lacking())
		}
		x.sockets = append(x.sockets, fd)
		if err := sys.Confine(fd, x.info.Index); err != nil {
			return fmt.Errorf("bind the socket of queue %d to %s alone: %w", n, x.iface, err)
		}
	}
	return nil
}

func (x *session) match(text string, r *reply) error {
	e, err := x.server.policy.expression(text, x.info)
	if err != nil {
		return err
	}
	if err := x.prog.SetMatch(e); err != nil {
		return err
	}
	r.Match = e.String()
	return nil
}

// release takes everything back: also what is half made. Closing the program detaches it.
func (x *session) release() (err error) {
	if x.iface == "" || x.done {
		return nil
	}
	x.done = true
	if x.prog != nil {
		err = x.prog.Close()
		x.server.log("%s is free again: process %d of user %d has gone, or has done", x.iface, x.who.PID, x.who.UID)
	}
	err = errors.Join(err, closeAll(x.sockets))
	x.prog, x.link, x.sockets = nil, nil, nil
	x.server.giveBack(x.iface)
	return err
}

func whyNotRaised(err error) string {
	switch {
	case errors.Is(err, syscall.EPERM):
		return "; the helper has no CAP_SYS_RESOURCE: leave out --memlock, and raise the limit where the receiver is started (ulimit -l)"
	case errors.Is(err, syscall.ENOPROTOOPT):
		return "; this kernel can't tell for sure whose limit it would be (Linux 6.5 can): leave out --memlock, and raise the limit where the receiver is started (ulimit -l)"
	}
	return ""
}
