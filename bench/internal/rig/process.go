package rig

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"xrx/internal/vethnet"
)

// Program is a receiver that is a process in end B's namespace.
type Program struct {
	name  string
	end   *vethnet.End
	args  []string
	cpu   int
	pins  bool                             // the program pins itself; else taskset does it for all its threads
	ready func(line string) bool           // this line of its output says that packets are taken
	parse func(out []byte) (Counts, error) // reads what it printed
	quit  string                           // what to write to its standard input to end it; "" = SIGTERM
	each  func(line string)                // is given each line, if not nil
	setUp func(on bool) error              // changes the network for it, and back; may be nil
}

func (p *Program) Name() string { return p.name }

// Named gives it another name.
func (p *Program) Named(name string) *Program {
	p.name = name
	return p
}

// Each has f called with every line that it prints.
func (p *Program) Each(f func(line string)) *Program {
	p.each = f
	return p
}

// process is a program at work.
type process struct {
	*Program
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr bytes.Buffer
	out    bytes.Buffer
	read   chan error // the reader of stdout ended
	up     chan bool
	ended  atomic.Bool
}

const (
	startDeadline = 20 * time.Second // testpmd's memory takes a while
	stopDeadline  = 10 * time.Second
)

// Start tries a few times: the socket that had the queue before is torn down some time after its process has ended.
func (p *Program) Start() (w Running, err error) {
	for range 5 {
		if w, err = p.start(); err == nil {
			return w, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, err
}

func (p *Program) start() (_ Running, err error) {
	if p.setUp != nil {
		if err := p.setUp(true); err != nil {
			return nil, err
		}
	}
	args := p.args
	if !p.pins {
		args = append([]string{"taskset", "-c", strconv.Itoa(p.cpu)}, args...)
	}
	r := &process{Program: p, read: make(chan error, 1), up: make(chan bool, 1)}
	cmd, start := p.end.Command(context.Background(), args[0], args[1:]...)
	r.cmd = cmd
	cmd.Stderr = &r.stderr
	cmd.SysProcAttr = sysProcAttr(cmd.SysProcAttr)
	if r.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := start(); err != nil {
		return nil, err
	}
	go r.reader(stdout)
	select {
	case <-r.up:
		return r, nil
	case <-r.read:
		if err := r.cmd.Wait(); err != nil {
			return nil, fmt.Errorf("did not start: %w: %s", err, r.said())
		}
		return nil, fmt.Errorf("ended before it was ready: %s", r.said())
	case <-time.After(startDeadline):
		r.kill()
		return nil, fmt.Errorf("not ready after %v: %s", startDeadline, r.said())
	}
}

// said is the end of what the program printed, for errors.
func (r *process) said() string {
	s := strings.TrimSpace(r.stderr.String())
	if s == "" && r.ended.Load() {
		s = strings.TrimSpace(r.out.String())
	}
	return tail(s)
}

// reader collects the output and looks for the line that says "ready".
func (r *process) reader(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		r.out.Write(append(lines.Bytes(), '\n'))
		if r.each != nil {
			r.each(lines.Text())
		}
		if r.ready(lines.Text()) {
			select {
			case r.up <- true:
			default:
			}
		}
	}
	r.ended.Store(true)
	r.read <- lines.Err()
}

// PID returns the process.
func (r *process) PID() int { return r.cmd.Process.Pid }

func (r *process) CPU() (time.Duration, error) { return processorTime(r.cmd.Process.Pid) }

func (r *process) kill() {
	r.cmd.Process.Kill()
	<-r.read
	r.cmd.Wait()
}

func (r *process) Stop() (c Counts, err error) {
	if r.quit != "" {
		_, err = io.WriteString(r.stdin, r.quit)
	} else {
		err = r.cmd.Process.Signal(unix.SIGTERM)
	}
	select {
	case <-r.read:
	case <-time.After(stopDeadline):
		r.kill()
		return c, fmt.Errorf("did not end within %v", stopDeadline)
	}
	if e := r.cmd.Wait(); e != nil {
		return c, fmt.Errorf("%w: %s", e, r.said())
	}
	if r.setUp != nil {
		if err := r.setUp(false); err != nil {
			return c, err
		}
	}
	if err != nil {
		return c, err
	}
	if c, err = r.parse(r.out.Bytes()); err != nil {
		return c, fmt.Errorf("%w: %s", err, r.said())
	}
	return c, nil
}

// sysProcAttr makes a receiver end with this program, however it ends.
func sysProcAttr(a *unix.SysProcAttr) *unix.SysProcAttr {
	if a == nil {
		a = &unix.SysProcAttr{}
	}
	a.Pdeathsig = unix.SIGKILL
	return a
}
