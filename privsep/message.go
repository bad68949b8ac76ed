package privsep

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"xrx/bpf"
	"xrx/internal/sys"
	"xrx/match"
)

// Version is of what the two sides say to each other. They must be of the same one.
const Version = 1

const (
	messageMost = match.MaxLength + 1<<14 // bytes: the longest expression, and the rest
	fdsMost     = 253                     // descriptors in one message: SCM_MAX_FD in include/net/scm.h at v6.18
	queuesMost  = fdsMost - 2             // so many sockets go along with the two maps
)

// What a receiver may ask for.
const (
	opOpen       = "open"       // first, and once
	opRegister   = "register"   // a queue: its packets go to its socket from now on
	opUnregister = "unregister" // a queue
	opMatch      = "match"      // replace the expression
	opCondition  = "condition"  // is the program still there?
	opMend       = "mend"       // put it back
	opDetach     = "detach"     // take it off, and have done with the sockets
)

// request is what the receiver sends: a JSON object per message.
type request struct {
	Version int    `json:"version"`
	Op      string `json:"op"`
	Queue   int    `json:"queue,omitempty"` // register, unregister
	Match   string `json:"match,omitempty"` // open, match
	Open    *ask   `json:"open,omitempty"`  // open
}

// ask is what a receiver wants to have.
type ask struct {
	Interface string `json:"interface"`
	Queues    []int  `json:"queues"`
	Attach    int    `json:"attach,omitempty"` // bpf.Mode
	HWMeta    bool   `json:"hw_meta,omitempty"`
	HWHash    bool   `json:"hw_hash,omitempty"`
	NoMeta    bool   `json:"no_meta,omitempty"`
	Symmetric bool   `json:"symmetric,omitempty"`
	Seed      uint64 `json:"seed,omitempty"`
}

// reply is the helper's answer. To open, descriptors come with it: the counters, the program's word, then a socket for each
// queue in the order that they were asked for.
type reply struct {
	Version   int       `json:"version"`
	Error     string    `json:"error,omitempty"`
	Errno     int       `json:"errno,omitempty"`
	Match     string    `json:"match,omitempty"`     // open, match: what is in force, the Policy's part included
	Condition int       `json:"condition,omitempty"` // condition: bpf.Condition
	IfIndex   int       `json:"ifindex,omitempty"`   // open
	Mode      int       `json:"mode,omitempty"`      // open: bpf.Mode
	HWMeta    bool      `json:"hw_meta,omitempty"`   // open
	Attempts  []attempt `json:"attempts,omitempty"`  // open: better modes that were refused
}

// attempt is a bpf.Attempt.
type attempt struct {
	Mode   int    `json:"mode"`
	HWMeta bool   `json:"hw_meta,omitempty"`
	Error  string `json:"error"`
	Errno  int    `json:"errno,omitempty"`
	Why    string `json:"why"`
}

// Error is what the other process said, with the errno that it was told by the kernel, if it was.
type Error struct {
	Text  string
	Errno syscall.Errno
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the errno.
func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

func errnoOf(err error) int {
	var e syscall.Errno
	if errors.As(err, &e) {
		return int(e)
	}
	return 0
}

func send(c *net.UnixConn, m any, fds ...int) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(b) > messageMost {
		return fmt.Errorf("a message of %d bytes: at most %d", len(b), messageMost)
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	_, _, err = c.WriteMsgUnix(b, rights, nil)
	return err
}

// receive reads a message of at most as many descriptors, which are the caller's, with an error too. The end of the
// connection is io.EOF.
func receive(c *net.UnixConn, m interface{ version() int }, most int) (fds []int, err error) {
	b := make([]byte, messageMost+1)
	rights := make([]byte, unix.CmsgSpace(4*fdsMost))
	n, rn, flags, _, err := c.ReadMsgUnix(b, rights)
	if err != nil {
		return nil, err
	}
	if fds, err = descriptors(rights[:rn]); err != nil {
		return fds, err
	}
	switch {
	case n == 0 && rn == 0: // sequenced packets end with an empty one: unix(7)
		return nil, io.EOF
	case flags&unix.MSG_CTRUNC != 0:
		return fds, errors.New("not all descriptors could be taken: raise the limit of open files (ulimit -n)")
	case flags&unix.MSG_TRUNC != 0 || n > messageMost:
		return fds, fmt.Errorf("a message of more than %d bytes", messageMost)
	case len(fds) > most:
		return fds, fmt.Errorf("%d descriptors, where at most %d belong", len(fds), most)
	}
	var v struct{ Version int }
	if err := json.Unmarshal(b[:n], &v); err != nil {
		return fds, fmt.Errorf("not a message: %w", err)
	}
	if v.Version != Version {
		return fds, fmt.Errorf("it speaks version %d, this side %d: run the same xrx on both", v.Version, Version)
	}
	d := json.NewDecoder(bytes.NewReader(b[:n]))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return fds, fmt.Errorf("not a message: %w", err)
	}
	if d.More() {
		return fds, errors.New("not a message: something follows it")
	}
	return fds, nil
}

func (r *request) version() int { return r.Version }
func (r *reply) version() int   { return r.Version }

// descriptors takes all that came along: what is not wanted must be closed, or it stays open for ever.
func descriptors(rights []byte) (fds []int, err error) {
	if len(rights) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, fmt.Errorf("not a message: %w", err)
	}
	for i := range messages {
		if some, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, some...)
		}
	}
	return fds, nil
}

func closeAll(fds []int) (err error) {
	for _, fd := range fds {
		err = errors.Join(err, sys.Close(fd))
	}
	return err
}

// check says what is wrong with a request whatever the Policy.
func (r *request) check() error {
	switch r.Op {
	case opOpen:
		if r.Open == nil {
			return errors.New("open without saying what")
		}
		return r.Open.check()
	case opRegister, opUnregister, opMatch, opCondition, opMend, opDetach:
		if r.Open != nil {
			return fmt.Errorf("%s with what belongs to open", r.Op)
		}
		return nil
	}
	return fmt.Errorf("no such request: %q", r.Op)
}

func (a *ask) check() error {
	switch {
	case a.Interface == "" || len(a.Interface) >= unix.IFNAMSIZ:
		return fmt.Errorf("interface %q: a name has 1 to %d bytes", a.Interface, unix.IFNAMSIZ-1)
	case len(a.Queues) == 0 || len(a.Queues) > queuesMost:
		return fmt.Errorf("%d queues: a helper gives 1 to %d", len(a.Queues), queuesMost)
	case a.Attach < int(bpf.Auto) || a.Attach > int(bpf.Generic):
		return fmt.Errorf("attach mode %d: there is none such", a.Attach)
	case a.NoMeta && a.HWMeta:
		return errors.New("hardware metadata, and no metadata")
	case a.HWHash && !a.HWMeta:
		return errors.New("the device's hash is part of hardware metadata")
	}
	for n, q := range a.Queues {
		if q < 0 || q > math.MaxUint16 || n > 0 && q <= a.Queues[n-1] {
			return fmt.Errorf("queues %v: want them in order, each once, from 0", a.Queues)
		}
	}
	return nil
}
