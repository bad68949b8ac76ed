package privsep

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"xrx/bpf"
	"xrx/internal/sys"
	"xrx/match"
)

// ErrGone is what everything fails with when the helper has ended: its program went with it.
var ErrGone = errors.New("the helper has gone, and the XDP program with it: start it again (xrx helper), then this")

// Request is what a receiver asks for.
type Request struct {
	Interface string
	Queues    []int // in order
	Attach    bpf.Mode
	Options   bpf.Options // Symmetric, Seed, NoMeta, HWMeta, HWHash and Match count
}

// Grant is what a receiver was given. It does what bpf.Program does; the helper does it, where that takes privileges. All
// methods may be called from any goroutine.
type Grant struct {
	readings *bpf.Readings
	first    reply

	mu      sync.Mutex // one question at a time
	conn    *net.UnixConn
	err     error       // what ended the conversation
	sockets map[int]int // descriptors that nobody took yet, by queue
	inForce *match.Expr
}

// helperTime bounds an answer: attaching resets some devices, which takes seconds.
const helperTime = 30 * time.Second

// Open asks the helper that listens at path. On error nothing is left behind.
func Open(path string, want Request) (g *Grant, err error) {
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("no helper at %s: %w; start one as root: xrx helper %s --socket %s --allow-user NAME", path, err, want.Interface, path)
	case err != nil:
		return nil, fmt.Errorf("helper: %w", err)
	}
	g = &Grant{conn: c, sockets: map[int]int{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
			g = nil
		}
	}()
	o := want.Options
	q := &request{Op: opOpen, Match: o.Match.String(), Open: &ask{Interface: want.Interface, Queues: want.Queues, Attach: int(want.Attach),
		HWMeta: o.HWMeta, HWHash: o.HWHash, NoMeta: o.NoMeta, Symmetric: o.Symmetric, Seed: o.Seed}}
	if err := q.check(); err != nil {
		return g, fmt.Errorf("helper: %w", err)
	}
	r, fds, err := g.ask(q, len(want.Queues)+2)
	if err != nil {
		return g, err
	}
	if len(fds) != len(want.Queues)+2 {
		return g, errors.Join(fmt.Errorf("helper: %d descriptors for %d queues", len(fds), len(want.Queues)), closeAll(fds))
	}
	for n, queue := range want.Queues {
		g.sockets[queue] = fds[2+n]
	}
	if g.readings, err = bpf.OpenReadings(fds[0], fds[1]); err != nil {
		return g, err
	}
	g.first = *r
	if g.inForce, err = match.Parse(r.Match); err != nil {
		return g, fmt.Errorf("helper: what it says is in force: %w", err)
	}
	return g, g.sameNamespace(fds[2])
}

// sameNamespace: an interface's index means something in its own network namespace only, and a unix socket's path reaches
// into others.
func (g *Grant) sameNamespace(socket int) error {
	there, err := sys.NamespaceCookie(socket)
	if err != nil {
		return fmt.Errorf("helper: the socket's network namespace: %w", err)
	}
	here, err := sys.NamespaceCookieOf(g.conn)
	if err != nil {
		return fmt.Errorf("helper: network namespace: %w", err)
	}
	if here != there {
		return errors.New("helper: it works in another network namespace than this process: start both in the same one")
	}
	return nil
}

// ask asks a question and waits for the answer.
func (g *Grant) ask(q *request, most int) (*reply, []int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return nil, nil, g.err
	}
	q.Version = Version
	var r reply
	g.conn.SetDeadline(time.Now().Add(helperTime))
	err := send(g.conn, q)
	var fds []int
	if err == nil || errors.Is(err, syscall.EPIPE) { // it may have said why it went
		fds, err = receive(g.conn, &r, most)
	}
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
			err = ErrGone
		}
		g.err = fmt.Errorf("helper: %w", err)
		return nil, nil, errors.Join(g.err, closeAll(fds))
	}
	if r.Error != "" {
		return nil, nil, errors.Join(fmt.Errorf("helper: %w", &Error{r.Error, syscall.Errno(r.Errno)}), closeAll(fds))
	}
	return &r, fds, nil
}

// tell is ask for what only succeeds or fails.
func (g *Grant) tell(op string, queue int) error {
	_, fds, err := g.ask(&request{Op: op, Queue: queue}, 0)
	return errors.Join(err, closeAll(fds))
}

// IfIndex is the interface's index in the helper's network namespace.
func (g *Grant) IfIndex() int { return g.first.IfIndex }

// TakeSocket returns the AF_XDP socket for a queue, not bound yet. It is the caller's from now on; 0 for a nil Grant.
func (g *Grant) TakeSocket(queue int) int {
	if g == nil {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	fd := g.sockets[queue]
	delete(g.sockets, queue)
	return fd
}

// Register is bpf.Program's. The descriptor is not needed: the helper has the queue's socket.
func (g *Grant) Register(queue, _ int) error { return g.tell(opRegister, queue) }

// Unregister is bpf.Program's. When the helper has gone, so have the program and what was registered.
func (g *Grant) Unregister(queue int) error { return unlessGone(g.tell(opUnregister, queue)) }

// SetMatch is bpf.Program's. InForce then has the helper's own part too.
func (g *Grant) SetMatch(e *match.Expr) error {
	r, fds, err := g.ask(&request{Op: opMatch, Match: e.String()}, 0)
	if err = errors.Join(err, closeAll(fds)); err != nil {
		return err
	}
	both, err := match.Parse(r.Match)
	if err != nil {
		return fmt.Errorf("helper: what it says is in force: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inForce = both
	return nil
}

// InForce is what decides about packets: what was asked for, and what the helper allows at most.
func (g *Grant) InForce() *match.Expr {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inForce
}

// Counters is bpf.Program's.
func (g *Grant) Counters() (bpf.Counters, error) { return g.readings.Counters() }

// MetaRefused is bpf.Program's.
func (g *Grant) MetaRefused() bool { return g.readings.MetaRefused() }

// Truncated is bpf.Program's.
func (g *Grant) Truncated() int { return g.readings.Truncated() }

// Close ends it; the helper then takes back what is not yet. Sockets that were taken stay open.
func (g *Grant) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs []error
	for _, fd := range g.sockets {
		errs = append(errs, closeAll([]int{fd}))
	}
	g.sockets, g.err = nil, net.ErrClosed
	if g.readings != nil {
		errs = append(errs, g.readings.Close())
		g.readings = nil
	}
	return errors.Join(append(errs, g.conn.Close())...)
}

func unlessGone(err error) error {
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}
