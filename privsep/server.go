package privsep

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"xrx/internal/netdev"
	"xrx/internal/sys"
)

// Server is the helper: it serves any number of receivers, one at a time on each interface.
type Server struct {
	policy    Policy
	namespace *netdev.Namespace // of the interfaces

	// Log, if it is set before Serve, is told what is given and taken back, a line each, by several goroutines.
	Log func(string)

	mu      sync.Mutex
	holders map[string]*session // who has an interface, by its name
	open    map[*net.UnixConn]struct{}
}

// Times and numbers that bound what a peer can cost.
const (
	peersMost   = 64               // connections at once
	introTime   = 10 * time.Second // from connecting to asking
	handOffTime = time.Second      // for one that has ended to be noticed, when the next asks
)

// NewServer checks the policy. The interfaces are those of the calling thread's network namespace.
func NewServer(p Policy) (*Server, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	ns, err := netdev.CurrentNamespace()
	if err != nil {
		return nil, fmt.Errorf("privsep: %w", err)
	}
	return &Server{policy: p, namespace: ns, holders: map[string]*session{}, open: map[*net.UnixConn]struct{}{}}, nil
}

// Listen makes the unix socket that receivers connect to, as SOCK_SEQPACKET. Every user may connect to it: who is served
// is decided by SO_PEERCRED, and told in words. A socket that a killed helper left is replaced; one that is served is not.
func Listen(path string) (*net.UnixListener, error) {
	addr := &net.UnixAddr{Name: path, Net: "unixpacket"}
	l, err := net.ListenUnix("unixpacket", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		if i, statErr := os.Lstat(path); statErr == nil && i.Mode().Type() != os.ModeSocket { // connecting to it is refused too
			return nil, fmt.Errorf("privsep: %s is in the way: it is no socket", path)
		}
		c, dialErr := net.DialUnix("unixpacket", nil, addr)
		switch {
		case dialErr == nil:
			return nil, errors.Join(fmt.Errorf("privsep: %s: another helper serves there", path), c.Close())
		case !errors.Is(dialErr, syscall.ECONNREFUSED): // a socket of another kind
			return nil, fmt.Errorf("privsep: %s is in the way: %w", path, dialErr)
		}
		if err = os.Remove(path); err == nil {
			l, err = net.ListenUnix("unixpacket", addr)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("privsep: %w", err)
	}
	if path[0] != '@' { // an abstract one has no file
		if err := os.Chmod(path, 0o666); err != nil {
			return nil, errors.Join(fmt.Errorf("privsep: %w", err), l.Close())
		}
	}
	return l, nil
}

// Serve serves until ctx is done (it then returns nil) or l fails, which is closed then. When it returns, everything that was given
// is taken back. It is called once.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	var wg sync.WaitGroup
	stop := context.AfterFunc(ctx, func() {
		l.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.open {
			c.Close()
		}
	})
	defer stop()
	var err error
	for {
		var c *net.UnixConn
		if c, err = l.AcceptUnix(); err != nil {
			if pause(ctx, err) {
				continue
			}
			break
		}
		if !s.admit(ctx, c) {
			continue
		}
		wg.Go(func() {
			s.serve(c)
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.open, c)
		})
	}
	if ctx.Err() != nil {
		err = nil
	} else {
		err = fmt.Errorf("privsep: accept: %w", err)
	}
	l.Close()
	s.mu.Lock()
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	wg.Wait()
	return errors.Join(err, s.namespace.Close())
}

// pause waits a moment after a failure to accept that may pass: too many open files.
func pause(ctx context.Context, err error) bool {
	if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) && !errors.Is(err, syscall.ECONNABORTED) {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(100 * time.Millisecond):
		return true
	}
}

func (s *Server) admit(ctx context.Context, c *net.UnixConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil || len(s.open) >= peersMost {
		c.Close()
		return false
	}
	s.open[c] = struct{}{}
	return true
}

// serve is one connection, from the first question, who it is, to its end.
func (s *Server) serve(c *net.UnixConn) {
	defer c.Close()
	who, err := sys.PeerOf(c)
	if err == nil {
		err = s.policy.admits(who)
	}
	if err != nil {
		s.log("refused: %v", err)
		refuse(c, err)
		return
	}
	x := &session{server: s, conn: c, who: who}
	if err := x.live(); err != nil {
		s.log("process %d of user %d: %v", who.PID, who.UID, err)
	}
	if err := x.release(); err != nil {
		s.log("process %d of user %d: taking back: %v", who.PID, who.UID, err)
	}
}

// refuse says why, when the other has asked: who closes with something unread has the other see a reset instead.
func refuse(c *net.UnixConn, err error) {
	c.SetDeadline(time.Now().Add(introTime))
	fds, readErr := receive(c, &request{}, 0)
	closeAll(fds)
	if !errors.Is(readErr, os.ErrDeadlineExceeded) {
		send(c, &reply{Version: Version, Error: err.Error(), Errno: errnoOf(err)})
	}
}

func (s *Server) log(format string, args ...any) {
	if s.Log != nil {
		s.Log(fmt.Sprintf(format, args...))
	}
}

// take gives a session the interface; while another has it, that one may end for a moment.
func (s *Server) take(name string, x *session) error {
	for deadline := time.Now().Add(handOffTime); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		holder := s.holders[name]
		if holder == nil {
			s.holders[name] = x
		}
		s.mu.Unlock()
		switch {
		case holder == nil:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%s is given to process %d of user %d already: %w", name, holder.who.PID, holder.who.UID, syscall.EBUSY)
		}
	}
}

func (s *Server) giveBack(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.holders, name)
}
