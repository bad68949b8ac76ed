package xrx

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"xrx/internal/stage"
	"xrx/internal/tune"
)

// Switch is on, off, or left as it is.
type Switch int8

// The zero value leaves a setting alone.
const (
	AsItIs Switch = iota
	On
	Off
)

func (s Switch) number() int {
	if s == On {
		return 1
	}
	return 0
}

// Settings are settings of the interface, of the kernel's or the driver's, that are in force from Open to Close. The zero
// value of each leaves it as it is; a negative number or time sets it to 0. What had another value before is put back by
// Close, and after a crash by the next Open of the interface or by `xrx doctor IFACE --restore`: the old values are in a
// file of StateDir before anything is changed. A driver that has not got a setting is no error: Mode.Notes says it, and
// Mode.Settings says what is in force.
type Settings struct {
	DeferHardIRQs   int           // napi_defer_hard_irqs: empty polls that the timer repeats before the interrupt is let in again
	GROFlushTimeout time.Duration // gro_flush_timeout: that timer; it also holds packets for the kernel's own GRO so long
	Threaded        Switch        // a kernel thread polls the device, not the softirq

	RxUsecs    int    // microseconds that the device holds an interrupt back
	RxFrames   int    // packets for which it does
	AdaptiveRx Switch // the driver chooses the two by itself; goes off where one of them is set

	Strict   bool   // a setting that can't be had is an error of Open
	StateDir string // default /run/xrx
}

// none reports that nothing is to be set.
// None reports whether nothing is to be changed.
func (s Settings) None() bool { return s.none() }

func (s *Settings) none() bool {
	return s.DeferHardIRQs == 0 && s.GROFlushTimeout == 0 && s.Threaded == AsItIs && s.RxUsecs == 0 && s.RxFrames == 0 && s.AdaptiveRx == AsItIs
}

func (s *Settings) validate() error {
	switch {
	case s.DeferHardIRQs > math.MaxInt32: // kernel: S32_MAX (netdev_set_defer_hard_irqs in net/core/net-sysfs.c at v6.18)
		return fmt.Errorf("xrx: napi_defer_hard_irqs %d: want at most %d", s.DeferHardIRQs, math.MaxInt32)
	case s.GROFlushTimeout > time.Second:
		return fmt.Errorf("xrx: gro_flush_timeout %v: want at most 1s, or packets wait too long", s.GROFlushTimeout)
	case s.RxUsecs > 1e6 || s.RxFrames > 1<<20:
		return fmt.Errorf("xrx: rx-usecs %d, rx-frames %d: want at most %d and %d", s.RxUsecs, s.RxFrames, int(1e6), 1<<20)
	case s.AdaptiveRx == On && (s.RxUsecs != 0 || s.RxFrames != 0):
		return errors.New("xrx: adaptive coalescing chooses rx-usecs and rx-frames by itself: set those, or let it")
	}
	return nil
}

// changes lists what is to be set, in the order in which drivers take it: adaptive coalescing overrules what follows.
func (s *Settings) changes(i tuner, queues []int) (list []tune.Change) {
	add := func(key string, value int) {
		list = append(list, tune.Change{Key: key, Value: strconv.Itoa(max(0, value))})
	}
	coalesce := s.RxUsecs != 0 || s.RxFrames != 0
	adaptive, _ := i.Get(tune.AdaptiveRx)
	switch {
	case s.AdaptiveRx == On:
		add(tune.AdaptiveRx, 1)
	case s.AdaptiveRx == Off, coalesce && adaptive == "1":
		add(tune.AdaptiveRx, 0)
	}
	if s.RxUsecs != 0 {
		add(tune.RxUsecs, s.RxUsecs)
	}
	if s.RxFrames != 0 {
		add(tune.RxFrames, s.RxFrames)
	}
	if coalesce || s.AdaptiveRx != AsItIs {
		for _, key := range []string{tune.AdaptiveRx, tune.RxUsecs, tune.RxFrames} {
			list = append(list, tune.Change{Key: key}) // drivers change one along with another
		}
	}
	napi := func(key string, value int) {
		if !i.PerQueue(queues, key) {
			add(key, value)
			return
		}
		for _, q := range queues {
			add(tune.Queue(q, key), value)
		}
	}
	if s.Threaded != AsItIs {
		napi(tune.Threaded, s.Threaded.number())
	}
	if s.GROFlushTimeout != 0 { // before the other, which does nothing without
		napi(tune.FlushTimeout, int(s.GROFlushTimeout))
	}
	if s.DeferHardIRQs != 0 {
		napi(tune.DeferHardIRQs, s.DeferHardIRQs)
	}
	return list
}

// tuner is what changes asks of a tune.Interface.
type tuner interface {
	Get(key string) (string, error)
	PerQueue(queues []int, key string) bool
}

// tune warns of what is steered past the receiver, puts back what one that crashed has left, and applies the settings. The program is attached by now: some
// drivers have no NAPI without.
func (r *Receiver) tune(queues []int) (err error) {
	s, err := tune.OpenSession(r.iface.Name, "run", r.cfg.Settings.StateDir)
	if err != nil && r.cfg.Settings.none() {
		return nil // an interface that was deleted meanwhile: the next step says so
	}
	if err != nil {
		return fmt.Errorf("xrx: settings of %s: %w", r.iface.Name, err)
	}
	defer func() {
		if r.tuned == nil {
			err = errors.Join(err, s.Close())
		}
	}()
	tables, _ := s.Iface.Tables(r.iface.Name, r.iface.Queues)
	for _, warning := range tables.Unbound(queues) {
		r.mode.note("%s", warning)
	}
	left, err := s.Stale()
	if err == nil && left != nil {
		err = r.restore(s, left.Owner)
	}
	if err != nil && !r.cfg.Settings.none() {
		return fmt.Errorf("xrx: settings that an earlier receiver of %s left: %w (xrx doctor %[1]s --restore)", r.iface.Name, err)
	}
	if err != nil {
		r.mode.note("settings that an earlier receiver left are not put back: %v (xrx doctor %s --restore)", err, r.iface.Name)
	}
	if r.cfg.Settings.none() {
		return nil
	}
	stage.At("settings locked")
	r.tuned = s // from now on it is release that puts back
	state, err := s.Apply(r.cfg.Settings.changes(s.Iface, queues))
	if err != nil {
		return fmt.Errorf("xrx: settings of %s: %w", r.iface.Name, err)
	}
	stage.At("settings made")
	for _, e := range state.InForce() {
		r.mode.Settings = append(r.mode.Settings, e.String())
	}
	for _, e := range state.Refused() {
		if r.cfg.Settings.Strict {
			return fmt.Errorf("xrx: %s: %s; leave it out, or don't ask for Strict (--strict-settings)", r.iface.Name, e.Why)
		}
		r.mode.note("not set: %s", e.Why)
	}
	return nil
}

// restore puts back what another receiver left.
func (r *Receiver) restore(s *tune.Session, owner tune.Process) error {
	result, err := s.Restore(false)
	if err != nil || result == nil {
		return err
	}
	for _, e := range result.Restored {
		r.mode.note("put back: %s is %s again, as it was before %s, which ended without doing it", e.Key, e.Original, owner)
	}
	for _, e := range result.Left {
		r.mode.note("left as it is: %s", e.Why)
	}
	if len(result.Left) > 0 { // said, and of no use any more
		return s.File.Remove()
	}
	return nil
}

// untune puts back what tune changed. It comes before the program is detached, which may take NAPIs away.
func (r *Receiver) untune() error {
	if r.tuned == nil {
		return nil
	}
	result, err := r.tuned.Undo()
	for _, e := range result.Left {
		r.mode.note("not put back: %s", e.Why)
	}
	if err != nil {
		err = fmt.Errorf("xrx: settings of %s: %w (xrx doctor %[1]s --restore)", r.iface.Name, err)
	}
	err = errors.Join(err, r.tuned.Close())
	r.tuned = nil
	return err
}
