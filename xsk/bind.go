package xsk

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"xrx/internal/sys"
)

// Mode is how packets get from the driver into the UMEM.
type Mode uint8

const (
	Auto     Mode = iota // zero-copy where the driver can, else copy
	ZeroCopy             // the device writes into the UMEM
	Copy                 // the kernel copies
)

func (m Mode) String() string { return [...]string{"auto", "zerocopy", "copy"}[m] }

// Attempt is one step of the bind ladder: what was tried, and why it was refused (Err nil: it was taken).
type Attempt struct {
	Mode Mode
	Err  error
}

// busyPatience bounds the wait for a queue that is still being torn down (about 25 ms after its last owner closed).
const busyPatience = 2 * time.Second

// Bind binds the socket to its queue. With want Auto it tries ZeroCopy (only if tryZeroCopy: a generic-mode XDP
// program makes zero-copy lose packets, so the caller, who attached it, must say) and then Copy. It returns every
// attempt, the last being the one that holds; the mode that the kernel really gave is Mode().
func (s *Socket) Bind(want Mode, tryZeroCopy bool) ([]Attempt, error) {
	if s.cfg.Share != nil { // the mode was settled by the socket whose UMEM is shared; flags are refused
		err := s.bind(0)
		if err == nil {
			err = s.readMode(Auto)
		}
		return []Attempt{{s.cfg.Share.mode, err}}, err
	}
	ladder := []Mode{want}
	if want == Auto {
		ladder = []Mode{Copy}
		if tryZeroCopy {
			ladder = []Mode{ZeroCopy, Copy}
		}
	}
	var tried []Attempt
	for _, m := range ladder {
		err := s.bind(m)
		tried = append(tried, Attempt{m, err})
		if err == nil {
			return tried, s.readMode(m)
		}
		if errors.Is(err, syscall.EBUSY) {
			break // somebody has the queue: another mode won't change that
		}
	}
	return tried, tried[len(tried)-1].Err
}

func (s *Socket) bind(m Mode) error {
	flags, shared := uint16(0), 0
	if s.cfg.Share != nil {
		flags, shared = sys.XDPSharedUmem, s.cfg.Share.fd
	} else {
		if m == ZeroCopy {
			flags |= sys.XDPZeroCopy
		} else {
			flags |= sys.XDPCopy
		}
		if !s.cfg.NoNeedWakeup {
			flags |= sys.XDPUseNeedWakeup
		}
		if s.cfg.SG {
			flags |= sys.XDPUseSG
		}
	}
	wait := time.Millisecond
	for deadline := time.Now().Add(busyPatience); ; wait = min(2*wait, 50*time.Millisecond) {
		err := sys.XSKBind(s.fd, s.cfg.IfIndex, s.cfg.Queue, flags, shared)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EBUSY) && time.Now().Before(deadline):
			time.Sleep(wait)
		default:
			return s.failed(fmt.Sprintf("bind %s queue %d (%s)", s.cfg.Iface, s.cfg.Queue, m), err)
		}
	}
}

// readMode asks the kernel which mode it gave: never report the one that was asked for.
func (s *Socket) readMode(asked Mode) error {
	zc, err := sys.XSKZeroCopy(s.fd)
	if err != nil {
		return s.failed("XDP_OPTIONS", err)
	}
	s.mode = Copy
	if zc {
		s.mode = ZeroCopy
	}
	if asked == ZeroCopy && !zc {
		return fmt.Errorf("xsk: %s queue %d: bound with XDP_ZEROCOPY, but XDP_OPTIONS says copy (a bond or a broken driver): use --bind copy", s.cfg.Iface, s.cfg.Queue)
	}
	return nil
}

// Mode returns what XDP_OPTIONS said after Bind.
func (s *Socket) Mode() Mode { return s.mode }
