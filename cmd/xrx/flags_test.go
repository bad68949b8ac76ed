package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"xrx"
	"xrx/bpf"
	"xrx/gro"
	"xrx/xsk"
)

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestFlagsBecomeTheConfigThatTheySpeakOf(t *testing.T) {
	for _, c := range []struct {
		args string
		got  func(*xrx.Config) any
		want any
	}{
		{"", func(c *xrx.Config) any { return c.Queues }, []int(nil)},
		{"--queues all", func(c *xrx.Config) any { return c.Queues }, []int(nil)},
		{"--queues 3", func(c *xrx.Config) any { return c.Queues }, []int{0, 1, 2}},
		{"--queues 0,2", func(c *xrx.Config) any { return c.Queues }, []int{0, 2}},
		{"--queues 4-6,1", func(c *xrx.Config) any { return c.Queues }, []int{4, 5, 6, 1}},
		{"--queues 0-0", func(c *xrx.Config) any { return c.Queues }, []int{0}},
		{"", func(c *xrx.Config) any { return []int{c.Frames, c.ChunkSize, c.RingSize, c.RxSize} }, []int{4096, 0, 4096, 4096}},
		{"--frames 1000", func(c *xrx.Config) any { return c.RingSize }, 512},
		{"--frames 1000 --busy", func(c *xrx.Config) any { return c.RingSize }, 256},
		{"--frames 1000 --gather 0", func(c *xrx.Config) any { return c.RingSize }, 256},
		{"--frames 1000 --workers 2", func(c *xrx.Config) any { return c.RingSize }, 256},
		{"--frames 512 --chunk 4096 --ring 64", func(c *xrx.Config) any { return []int{c.Frames, c.ChunkSize, c.RingSize, c.RxSize} }, []int{512, 4096, 64, 64}},
		{"--unaligned --chunk 3000 --headroom 192", func(c *xrx.Config) any { return []int{c.ChunkSize, c.Headroom, btoi(c.Unaligned)} }, []int{3000, 192, 1}},
		{"", func(c *xrx.Config) any { return []any{c.Unaligned, c.SharedUmem, c.MultiBuffer, c.Threads} }, []any{false, false, xrx.MultiBufferAuto, 0}},
		{"--shared-umem --threads 2 --sg on", func(c *xrx.Config) any { return []any{c.Unaligned, c.SharedUmem, c.MultiBuffer, c.Threads} }, []any{false, true, xrx.MultiBufferOn, 2}},
		{"--sg off", func(c *xrx.Config) any { return c.MultiBuffer }, xrx.MultiBufferOff},
		{"", func(c *xrx.Config) any { return c.Attach }, bpf.Auto},
		{"--mode native", func(c *xrx.Config) any { return c.Attach }, bpf.Native},
		{"--mode skb", func(c *xrx.Config) any { return c.Attach }, bpf.Generic},
		{"--mode generic", func(c *xrx.Config) any { return c.Attach }, bpf.Generic},
		{"", func(c *xrx.Config) any { return c.Bind }, xsk.Auto},
		{"--bind copy", func(c *xrx.Config) any { return c.Bind }, xsk.Copy},
		{"--bind zerocopy", func(c *xrx.Config) any { return c.Bind }, xsk.ZeroCopy},
		{"", func(c *xrx.Config) any { return c.Gather }, time.Duration(0)}, // measured
		{"--gather auto", func(c *xrx.Config) any { return c.Gather }, time.Duration(0)},
		{"--gather 40us", func(c *xrx.Config) any { return c.Gather }, 40 * time.Microsecond},
		{"--gather 0", func(c *xrx.Config) any { return c.Gather }, time.Duration(-1)}, // none, not the default
		{"", func(c *xrx.Config) any { return []bool{c.Busy, c.TakeAll, c.SymmetricHash, c.HWMeta, c.HugePages} }, make([]bool, 5)},
		{"--busy --take-all --symmetric --hw-meta --huge", func(c *xrx.Config) any { return []bool{c.Busy, c.TakeAll, c.SymmetricHash, c.HWMeta, c.HugePages} }, []bool{true, true, true, true, true}},
		{"", func(c *xrx.Config) any { return c.NoMeta }, false},
		{"--no-meta", func(c *xrx.Config) any { return c.NoMeta }, true},
		{"--cpu 1", func(c *xrx.Config) any { return c.CPUs }, []int{1}},
		{"--cpu 2-3,0", func(c *xrx.Config) any { return c.CPUs }, []int{2, 3, 0}},
		{"", func(c *xrx.Config) any { return *c.GRO }, gro.Config{Profile: gro.Linux69}},
		{"--gro off", func(c *xrx.Config) any { return c.GRO }, (*gro.Config)(nil)},
		{"--gro-profile linux618 --gro-flush 200us --gro-flows 64", func(c *xrx.Config) any { return *c.GRO }, gro.Config{Profile: gro.Linux618, Flush: 200 * time.Microsecond, Flows: 64}},
		{"--gro-profile linux7", func(c *xrx.Config) any { return c.GRO.Profile }, gro.Linux7},
		{"", func(c *xrx.Config) any { return c.Settings }, xrx.Settings{}},
		{"--rx-usecs 0 --gro-flush-timeout 0", func(c *xrx.Config) any { return c.Settings }, xrx.Settings{RxUsecs: -1, GROFlushTimeout: -1}}, // 0 is a value
		{"--napi-defer-hard-irqs 2 --gro-flush-timeout 200us --napi-threaded on --rx-frames 8 --adaptive-rx off --strict-settings --state-dir /x", func(c *xrx.Config) any { return c.Settings },
			xrx.Settings{DeferHardIRQs: 2, GROFlushTimeout: 200 * time.Microsecond, Threaded: xrx.On, RxFrames: 8, AdaptiveRx: xrx.Off, Strict: true, StateDir: "/x"}},
		{"--busy", func(c *xrx.Config) any { return []int{int(c.BusyPoll), c.BusyBudget} }, []int{20000, 64}},
		{"--busy-poll-usecs 50 --busy-poll-budget 16", func(c *xrx.Config) any { return []int{int(c.BusyPoll), c.BusyBudget} }, []int{50000, 16}},
		{"--workers 3 --quota 100 --backlog 32", func(c *xrx.Config) any { return []any{c.Workers, c.Quota, c.Backlog, c.SymmetricHash} }, []any{3, 100, 32, true}},
		{"--gro-udp 4433,5000-5001", func(c *xrx.Config) any { return c.GRO.UDPPorts }, []uint16{4433, 5000, 5001}},
	} {
		t.Run(c.args, func(t *testing.T) {
			var f receiverFlags
			fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
			f.register(fs)
			f.registerWorkers(fs)
			f.registerHelper(fs)
			f.registerNoMeta(fs)
			if err := fs.Parse(strings.Fields(c.args)); err != nil {
				t.Fatal(err)
			}
			cfg, err := f.config()
			if err != nil {
				t.Fatal(err)
			}
			if got := c.got(cfg); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
