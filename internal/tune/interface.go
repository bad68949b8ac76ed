package tune

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"

	"xrx/internal/netdev"
)

// Keys of an interface. Those of NAPI are of the whole device, or with Queue of the NAPI that polls one rx queue.
const (
	DeferHardIRQs = "napi_defer_hard_irqs" // times that an empty poll is repeated by the timer before the interrupt is let in again
	FlushTimeout  = "gro_flush_timeout"    // ns, of that timer
	Threaded      = "threaded"             // 0, 1: a kernel thread polls, not the softirq
	AdaptiveRx    = "adaptive-rx"          // 0, 1: the driver chooses the two below by itself
	RxUsecs       = "rx-usecs"             // microseconds that an interrupt is held back
	RxFrames      = "rx-frames"            // packets for which an interrupt is held back
)

// Queue makes a key that of one rx queue's NAPI: "queue 3 threaded".
func Queue(queue int, key string) string { return fmt.Sprintf("queue %d %s", queue, key) }

var coalesceAttr = map[string]int{AdaptiveRx: netdev.CoalesceAdaptiveRx, RxUsecs: netdev.CoalesceRxUsecs, RxFrames: netdev.CoalesceRxFrames}

var napiAttr = map[string]int{DeferHardIRQs: netdev.NAPIDeferHardIRQs, FlushTimeout: netdev.NAPIGROFlushTimeout, Threaded: netdev.NAPIThreaded}

// Interface is the Device of a network interface.
type Interface struct{ dev *netdev.Device }

var _ Device = (*Interface)(nil)

// OpenInterface opens an interface of the calling thread's network namespace, and stays there.
func OpenInterface(name string) (*Interface, error) {
	d, err := netdev.OpenDevice(name)
	if err != nil {
		return nil, err
	}
	return &Interface{d}, nil
}

// Close closes it; settings stay as they are.
func (i *Interface) Close() error { return i.dev.Close() }

// Get reads a setting.
func (i *Interface) Get(key string) (string, error) {
	v, err := i.get(key)
	return v, i.explain(key, err)
}

// Set writes a setting.
func (i *Interface) Set(key, value string) error { return i.explain(key, i.set(key, value)) }

func (i *Interface) get(key string) (string, error) {
	if queue, of, ok := cutQueue(key); ok {
		id, err := i.dev.QueueNAPI(queue)
		if err != nil {
			return "", err
		}
		n, err := i.dev.NAPI(id, napiAttr[of])
		return strconv.FormatUint(n, 10), err
	}
	if attr, ok := coalesceAttr[key]; ok {
		n, err := i.dev.Coalesce(attr)
		return strconv.FormatUint(uint64(n), 10), err
	}
	if _, ok := napiAttr[key]; ok {
		return i.dev.ReadClass(key)
	}
	if value, known, err := i.getSteering(key); known {
		return value, err
	}
	return "", fmt.Errorf("xrx knows no such setting")
}

func (i *Interface) set(key, value string) error {
	if known, err := i.setSteering(key, value); known {
		return err
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is no number", value)
	}
	if queue, of, ok := cutQueue(key); ok {
		id, err := i.dev.QueueNAPI(queue)
		if err != nil {
			return err
		}
		return i.dev.SetNAPI(id, napiAttr[of], n)
	}
	if attr, ok := coalesceAttr[key]; ok {
		return i.dev.SetCoalesce(attr, uint32(n))
	}
	if _, ok := napiAttr[key]; ok {
		return i.dev.WriteClass(key, value)
	}
	return fmt.Errorf("xrx knows no such setting")
}

// cutQueue takes apart what Queue made.
func cutQueue(key string) (queue int, of string, ok bool) {
	rest, ok := strings.CutPrefix(key, "queue ")
	if !ok {
		return 0, "", false
	}
	number, of, _ := strings.Cut(rest, " ")
	queue, err := strconv.Atoi(number)
	return queue, of, err == nil && napiAttr[of] != 0
}

// PerQueue reports whether NAPI settings of the queues can be set one by one, which leaves other queues alone: the
// kernel must know how (6.13) and the driver must say which NAPI is whose.
func (i *Interface) PerQueue(queues []int, key string) bool {
	for _, q := range queues {
		if _, err := i.get(Queue(q, key)); err != nil {
			return false
		}
	}
	return len(queues) > 0
}

// explain says what an error means, and tells an interface or a NAPI that is gone from one that refuses.
func (i *Interface) explain(key string, err error) error {
	if err == nil {
		return nil
	}
	if _, gone := i.dev.Name(); errors.Is(gone, syscall.ENODEV) || errors.Is(gone, syscall.ENXIO) {
		return fmt.Errorf("%s: %w: %w", key, ErrGone, err)
	}
	_, of, perQueue := cutQueue(key)
	switch {
	case perQueue && errors.Is(err, netdev.ErrNoNAPI):
		return fmt.Errorf("%s: %w: %w", key, ErrGone, err)
	case (key == Threaded || of == Threaded) && errors.Is(err, syscall.EOPNOTSUPP):
		return fmt.Errorf("%s: %w: the interface has no NAPI, or not now: a veth has one only while it has an XDP program or GRO on", key, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w: this kernel has no such setting", key, err)
	}
	return netdev.Refusal(key, err)
}
