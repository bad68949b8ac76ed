package main

import (
	"time"

	"github.com/spf13/pflag"

	"xrx"
)

// settingsFlags are the flags that change settings of the interface while it is received from. Left out, a setting stays
// as it is; 0 is a value.
type settingsFlags struct {
	fs                            *pflag.FlagSet
	deferIRQs, rxUsecs, rxFrames  int
	flush                         time.Duration
	threaded, adaptive            string
	strict                        bool
	stateDir                      string
	busyPollUsecs, busyPollBudget int
}

func (f *settingsFlags) register(fs *pflag.FlagSet) {
	f.fs = fs
	fs.IntVar(&f.busyPollUsecs, "busy-poll-usecs", 0, "let a socket that waits poll the device itself for so many microseconds (0: 20 with --busy, else not)")
	fs.IntVar(&f.busyPollBudget, "busy-poll-budget", 0, "packets of such a poll (0: --budget)")
	fs.IntVar(&f.deferIRQs, "napi-defer-hard-irqs", 0, "set napi_defer_hard_irqs while receiving: empty polls before the interrupt is let in again")
	fs.DurationVar(&f.flush, "gro-flush-timeout", 0, "set gro_flush_timeout while receiving, like 200us: when to poll again")
	fs.StringVar(&f.threaded, "napi-threaded", "", "while receiving a kernel thread polls the device, not the softirq: on or off")
	fs.IntVar(&f.rxUsecs, "rx-usecs", 0, "while receiving the device holds interrupts back for so many microseconds")
	fs.IntVar(&f.rxFrames, "rx-frames", 0, "while receiving the device holds interrupts back for so many packets")
	fs.StringVar(&f.adaptive, "adaptive-rx", "", "while receiving the driver chooses these two by itself: on or off (off where one is set)")
	fs.BoolVar(&f.strict, "strict-settings", false, "fail where the driver refuses one of these settings")
	registerStateDir(fs, &f.stateDir)
}

// registerStateDir is the flag of every command that changes settings or puts them back.
func registerStateDir(fs *pflag.FlagSet, dir *string) {
	fs.StringVar(dir, "state-dir", "", "where the old values of changed settings are kept (default /run/xrx)")
}

// set is a number as Settings wants it: 0 for left out, negative for 0.
func set[T int | time.Duration](f *settingsFlags, name string, value T) (T, error) {
	switch {
	case value < 0:
		return 0, usagef("--%s can't be negative", name)
	case value == 0 && f.fs.Changed(name):
		return -1, nil
	}
	return value, nil
}

func parseSwitch(flag, s string) (xrx.Switch, error) {
	switch s {
	case "":
		return xrx.AsItIs, nil
	case "on":
		return xrx.On, nil
	case "off":
		return xrx.Off, nil
	}
	return 0, usagef("--%s %q: want on or off", flag, s)
}

func (f *settingsFlags) config(cfg *xrx.Config) (err error) {
	s := xrx.Settings{Strict: f.strict, StateDir: f.stateDir}
	if s.DeferHardIRQs, err = set(f, "napi-defer-hard-irqs", f.deferIRQs); err != nil {
		return err
	}
	if s.GROFlushTimeout, err = set(f, "gro-flush-timeout", f.flush); err != nil {
		return err
	}
	if s.RxUsecs, err = set(f, "rx-usecs", f.rxUsecs); err != nil {
		return err
	}
	if s.RxFrames, err = set(f, "rx-frames", f.rxFrames); err != nil {
		return err
	}
	if s.Threaded, err = parseSwitch("napi-threaded", f.threaded); err != nil {
		return err
	}
	if s.AdaptiveRx, err = parseSwitch("adaptive-rx", f.adaptive); err != nil {
		return err
	}
	cfg.Settings = s
	if f.busyPollUsecs < 0 || f.busyPollUsecs > 10000 {
		return usagef("--busy-poll-usecs %d: want 1 to 10000, or 0", f.busyPollUsecs)
	}
	if f.busyPollBudget < 0 || f.busyPollBudget > 65535 {
		return usagef("--busy-poll-budget %d: want 1 to 65535, or 0 for the --budget", f.busyPollBudget)
	}
	cfg.BusyPoll, cfg.BusyBudget = time.Duration(f.busyPollUsecs)*time.Microsecond, f.busyPollBudget
	return nil
}
