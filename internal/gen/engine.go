package gen

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The engines.
const (
	Live   = "live"
	XSK    = "xsk"
	Packet = "packet"
)

// Options says where, how fast and how much is sent.
type Options struct {
	// Iface is the interface the frames leave by, in the network namespace
	// of the thread that calls Open and Run.
	Iface string
	// Queue is the transmit queue; only xsk can choose another than 0.
	Queue int
	// CPUs, when not nil, are the processors that the sending thread may
	// run on. On a veth they decide which queue live frames arrive on.
	CPUs []int
	// Count and Duration end a run; 0 means no limit.
	Count    uint64
	Duration time.Duration
	// Rate is in frames per second; 0 means as fast as it goes. The live
	// engine cannot be paced.
	Rate float64
}

// Result is what a run did.
type Result struct {
	Engine  string
	Frames  uint64 // handed to the interface
	Bytes   uint64 // of them, without FCS
	Elapsed time.Duration
	// Sending is the part of Elapsed in which frames went out. The live engine's calls of the kernel take some 20 ms each
	// before their first frame; the others send all the time. Of fewer than 128 live frames it is not known: Elapsed.
	Sending time.Duration
	Retries uint64 // times the kernel had no room and was asked again
	// Dropped counts the frames that the interface itself says it dropped
	// while the run lasted, whoever sent them.
	Dropped uint64
	// Late is about a stamped stream, of an engine that can be paced; else nil.
	Late *Lateness
}

// PPS returns frames per second.
func (r Result) PPS() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Frames) / r.Elapsed.Seconds()
}

// BitsPerSecond returns the rate of frame bits, without FCS, preamble and gap.
func (r Result) BitsPerSecond() float64 {
	if r.Frames == 0 {
		return 0
	}
	return r.PPS() * float64(r.Bytes) / float64(r.Frames) * 8
}

// sender is one engine at work.
type sender interface {
	// send sends until count frames are out or ctx ends, which is no error.
	// It fills in Frames, Bytes and Retries, also with an error.
	send(ctx context.Context, count uint64, r *Result) error
	// sent is how many frames have gone out so far; it may be asked on
	// another goroutine while send runs.
	sent() uint64
	close() error
}

// Engine sends one stream out of one interface.
type Engine struct {
	name    string
	index   int // of the interface
	options Options
	sender  sender
}

// Open prepares an engine for a run. Open and Run are called in the network
// namespace of the interface, Run on a goroutine that stays there.
func Open(name string, s Stream, o Options) (*Engine, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	s = s.withDefaults()
	link, err := netlink.LinkByName(o.Iface)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", o.Iface, err)
	}
	if most := link.Attrs().MTU + 14 + 4*len(s.VLANs); s.maxSize() > most {
		return nil, fmt.Errorf("size %d: the MTU of %s allows %d", s.maxSize(), o.Iface, most)
	}
	if o.Queue != 0 && name != XSK {
		return nil, fmt.Errorf("queue %d: engine %s cannot choose the queue, xsk can", o.Queue, name)
	}
	if queues := link.Attrs().NumTxQueues; o.Queue < 0 || o.Queue >= queues {
		return nil, fmt.Errorf("queue %d: %s has %d", o.Queue, o.Iface, queues)
	}
	e := &Engine{name: name, index: link.Attrs().Index, options: o}
	switch name {
	case Live:
		e.sender, err = openLive(s, e.index, o)
	case XSK:
		e.sender, err = openXSK(s, e.index, o)
	case Packet:
		e.sender, err = openPacket(s, e.index, o)
	default:
		return nil, fmt.Errorf("engine %q: want live, xsk or packet", name)
	}
	if err != nil {
		return nil, fmt.Errorf("engine %s: %w", name, explain(err))
	}
	return e, nil
}

// OpenAuto opens live where it works and packet otherwise. reason says why it
// is not live, empty when it is.
func OpenAuto(s Stream, o Options) (e *Engine, reason string, err error) {
	if o.Queue != 0 {
		e, err = Open(XSK, s, o)
		return e, "only xsk can choose the queue", err
	}
	e, err = Open(Live, s, o)
	if err == nil {
		return e, "", nil
	}
	live := err
	if e, err = Open(Packet, s, o); err != nil {
		return nil, "", err
	}
	return e, live.Error(), nil
}

// Name returns the engine's name.
func (e *Engine) Name() string { return e.name }

// Run sends until Count frames are out, Duration has passed or ctx ends; none
// of these is an error. The result is valid with an error too. An engine runs
// once.
func (e *Engine) Run(ctx context.Context) (Result, error) {
	r := Result{Engine: e.name}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if e.options.CPUs != nil {
		back, err := pin(e.options.CPUs)
		if err != nil {
			return r, err
		}
		defer back()
	}
	if e.options.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.options.Duration)
		defer cancel()
	}
	count := e.options.Count
	if count == 0 {
		count = 1<<64 - 1
	}
	dropped := e.dropped()
	start := time.Now()
	err := e.sender.send(ctx, count, &r)
	r.Elapsed = time.Since(start)
	if r.Sending == 0 || r.Sending > r.Elapsed { // it was made of a part of the frames
		r.Sending = r.Elapsed
	}
	if after := e.dropped(); after > dropped {
		r.Dropped = after - dropped
	}
	if err != nil {
		err = fmt.Errorf("engine %s: %w", e.name, explain(err))
	}
	return r, err
}

// Sent returns how many frames have gone out so far. It may be called on
// another goroutine while Run runs, until Close.
func (e *Engine) Sent() uint64 { return e.sender.sent() }

// Close gives everything back.
func (e *Engine) Close() error { return e.sender.close() }

// dropped reads the interface's count of frames dropped on transmit, 0 when
// the interface is gone.
func (e *Engine) dropped() uint64 {
	link, err := netlink.LinkByIndex(e.index)
	if err != nil || link.Attrs().Statistics == nil {
		return 0
	}
	return link.Attrs().Statistics.TxDropped
}

// pin binds the calling thread, which is locked, to processors; back undoes it.
func pin(cpus []int) (back func(), err error) {
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("read cpu affinity: %w", err)
	}
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("pin to cpus %v: %w", cpus, err)
	}
	// Restoring what was in force a moment ago fails only if that
	// processor went away; the thread then stays where it is.
	return func() { _ = unix.SchedSetaffinity(0, &before) }, nil
}

// explain adds what to try to the errors a user can do something about.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w (needs root, or CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF)", err)
	case errors.Is(err, unix.ENETDOWN):
		return fmt.Errorf("%w (ip link set up dev IFACE)", err)
	}
	return err
}
