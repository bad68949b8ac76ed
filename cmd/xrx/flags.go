package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"xrx"
	"xrx/bpf"
	"xrx/gro"
	"xrx/match"
	"xrx/xsk"
)

// receiverFlags are the flags of every command that opens a receiver.
type receiverFlags struct {
	queues, mode, bind, cpu string
	sg                      string
	frames, chunk, ring     int
	headroom                int
	unaligned, shared       bool
	budget, threads         int
	workers, backlog, quota int
	gather                  string
	busy, takeAll, sym      bool
	hwMeta, noMeta, huge    bool
	match                   string
	helper                  string
	keepManagement          bool
	gro                     groFlags
	settings                settingsFlags
}

func (f *receiverFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.queues, "queues", "all", "rx queues: all, a number N (the first N), or a set like 0,2 or 4-7")
	fs.IntVar(&f.frames, "frames", 4096, "UMEM frames per queue")
	fs.IntVar(&f.chunk, "chunk", 0, "bytes per frame: 2048 or 4096, or any size from 2048 with --unaligned (0: 2048, or 4096 where the driver's zero-copy needs it)")
	fs.BoolVar(&f.unaligned, "unaligned", false, "frames of any size, anywhere in the UMEM (unaligned chunk mode)")
	fs.IntVar(&f.headroom, "headroom", 0, "bytes in front of each packet that are xrx's, beside XDP's 256; a multiple of 64 (0: 192)")
	fs.BoolVar(&f.shared, "shared-umem", false, "one UMEM for all queues instead of one each")
	fs.StringVar(&f.sg, "sg", "auto", "packets over several frames: auto (where the MTU asks for it), on or off")
	fs.IntVar(&f.ring, "ring", 0, "descriptors in the fill ring and in the rx ring, a power of two (default as many as --frames, of which three quarters are posted, but half of --frames with --busy, --workers, --gather 0, and in forward)")
	fs.StringVar(&f.mode, "mode", "auto", "how the XDP program is attached: auto, native or skb")
	fs.StringVar(&f.bind, "bind", "auto", "how sockets are bound: auto, zerocopy or copy")
	fs.IntVar(&f.budget, "budget", 0, "packets per poll (0: 64)")
	fs.StringVar(&f.gather, "gather", "auto", "longest sleep while packets come fast: a time like 150us, 0 (wake for every packet), or auto (100us to 300us, by what a sleep costs here)")
	fs.BoolVar(&f.busy, "busy", false, "never sleep: poll without pause")
	fs.IntVar(&f.threads, "threads", 0, "threads that poll all queues in fair turns (0: one per queue)")
	fs.StringVar(&f.cpu, "cpu", "", "processors for those threads, like 1 or 1,2 (default: not pinned)")
	fs.BoolVar(&f.huge, "huge", false, "back the UMEM with 2 MiB pages")
	fs.BoolVar(&f.sym, "symmetric", false, "flow hash that is the same in both directions")
	fs.BoolVar(&f.hwMeta, "hw-meta", false, "ask the device for hash, receive time and VLAN")
	fs.StringVar(&f.match, "match", "", "take only packets that match, in the manner of tcpdump, like 'udp port 53 or net 10.0.0.0/8' (default: all); others go to the kernel")
	fs.BoolVar(&f.keepManagement, "keep-management", false, "leave ARP, neighbour discovery, ICMP errors, DHCP, SSH and the like to the kernel")
	fs.BoolVar(&f.takeAll, "take-all", false, "take all traffic even of the interface that carries the default route or this SSH session")
	f.gro.register(fs)
	f.settings.register(fs)
}

// registerHelper adds the flag of commands that can have sockets given to them.
func (f *receiverFlags) registerHelper(fs *pflag.FlagSet) {
	fs.StringVar(&f.helper, "helper", "", "have program and sockets given by the xrx helper that listens on this unix socket: no capability is needed then")
}

// registerNoMeta adds the flag of commands that have no use for metadata.
func (f *receiverFlags) registerNoMeta(fs *pflag.FlagSet) {
	fs.BoolVar(&f.noMeta, "no-meta", false, "no metadata in front of packets: the XDP program only redirects, which is faster; truncated packets are not noticed then")
}

// registerWorkers adds the flags of commands whose consumer may be called on any number of goroutines.
func (f *receiverFlags) registerWorkers(fs *pflag.FlagSet) {
	fs.IntVar(&f.workers, "workers", 0, "goroutines that packets are handed to by flow hash (0: delivered where they are received)")
	fs.IntVar(&f.backlog, "backlog", 0, "packets of each queue that may wait for a worker, a power of two (0: up to three quarters of --quota)")
	fs.IntVar(&f.quota, "quota", 0, "frames of each queue that the consumer, or each worker, may hold (0: no limit; with --workers a share of what the fill ring leaves)")
}

// parseGather reads --gather into what Config.Gather is: 0 is auto there, and negative is none.
func parseGather(s string) (time.Duration, error) {
	if s == "auto" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil || d < 0:
		return 0, usagef("--gather %q: want auto, 0, or a time like 150us", s)
	case d == 0:
		return -1, nil
	}
	return d, nil
}

func (f *receiverFlags) config() (*xrx.Config, error) {
	cfg := &xrx.Config{Frames: f.frames, ChunkSize: f.chunk, Unaligned: f.unaligned, Headroom: f.headroom, SharedUmem: f.shared, RingSize: f.ring, Budget: f.budget, Threads: f.threads, Workers: f.workers, Backlog: f.backlog, Quota: f.quota, Busy: f.busy, TakeAll: f.takeAll,
		SymmetricHash: f.sym, HWMeta: f.hwMeta, NoMeta: f.noMeta, HugePages: f.huge, Helper: f.helper, Match: f.match, KeepManagement: f.keepManagement}
	var err error
	if cfg.Gather, err = parseGather(f.gather); err != nil {
		return nil, err
	}
	if _, err := match.Parse(f.match); err != nil {
		return nil, usagef("--match: %v", err)
	}
	if cfg.Queues, err = parseQueues(f.queues); err != nil {
		return nil, err
	}
	if cfg.CPUs, err = parseSet("--cpu", f.cpu); err != nil {
		return nil, err
	}
	if cfg.GRO, err = f.gro.config(); err != nil {
		return nil, err
	}
	if err := f.settings.config(cfg); err != nil {
		return nil, err
	}
	switch f.mode {
	case "auto":
	case "native":
		cfg.Attach = bpf.Native
	case "skb", "generic":
		cfg.Attach = bpf.Generic
	default:
		return nil, usagef("--mode %q: want auto, native or skb", f.mode)
	}
	switch f.bind {
	case "auto":
	case "zerocopy":
		cfg.Bind = xsk.ZeroCopy
	case "copy":
		cfg.Bind = xsk.Copy
	default:
		return nil, usagef("--bind %q: want auto, zerocopy or copy", f.bind)
	}
	switch f.sg {
	case "auto":
	case "on":
		cfg.MultiBuffer = xrx.MultiBufferOn
	case "off":
		cfg.MultiBuffer = xrx.MultiBufferOff
	default:
		return nil, usagef("--sg %q: want auto, on or off", f.sg)
	}
	if f.frames < 2 {
		return nil, usagef("--frames %d: want at least 2", f.frames)
	}
	switch {
	case f.chunk != 0 && f.chunk < 2048:
		return nil, usagef("--chunk %d: want at least 2048", f.chunk)
	case f.chunk != 0 && f.chunk != 2048 && f.chunk != 4096 && !f.unaligned:
		return nil, usagef("--chunk %d: want 2048 or 4096, or --unaligned for other sizes", f.chunk)
	}
	if err := cfg.Validate(); err != nil {
		return nil, usageError{err}
	}
	return cfg, nil
}

// parseQueues reads --queues: nil means all.
func parseQueues(s string) ([]int, error) {
	if s == "" || s == "all" {
		return nil, nil
	}
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > 4096 {
			return nil, usagef("--queues %d: want at least one", n)
		}
		ids := make([]int, n)
		for i := range ids {
			ids[i] = i
		}
		return ids, nil
	}
	return parseSet("--queues", s)
}

// parseSet reads a list of numbers and ranges, like 0,2 or 4-7.
func parseSet(flag, s string) (set []int, err error) {
	if s == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(lo)
		b := a
		if err == nil && isRange {
			b, err = strconv.Atoi(hi)
		}
		if err != nil || a < 0 || b < a || b-a > 4096 {
			return nil, usagef("%s %q: want numbers and ranges, like 0,2 or 4-7", flag, s)
		}
		for ; a <= b; a++ {
			set = append(set, a)
		}
	}
	return set, nil
}

// groFlags are the flags of the GRO engine, the same wherever packets are received or replayed.
type groFlags struct {
	on, profile, flush, udp string
	flows                   int
}

func (f *groFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.on, "gro", "on", "merge segments before delivery: on or off")
	fs.StringVar(&f.profile, "gro-profile", "linux69", "whose rules: linux69, linux618 or linux7")
	fs.StringVar(&f.flush, "gro-flush", "0", "how long a packet may be held for more: 0 (until the ring is empty), or a time like 200us")
	fs.IntVar(&f.flows, "gro-flows", 0, "flows held at once (0: the default)")
	fs.StringVar(&f.udp, "gro-udp", "", "UDP destination ports whose datagrams may be merged, like 4433,5000")
}

// config returns the engine's configuration, nil for off.
func (f *groFlags) config() (*gro.Config, error) {
	switch f.on {
	case "off":
		return nil, nil
	case "on":
	default:
		return nil, usagef("--gro %q: want on or off", f.on)
	}
	if f.flows < 0 || f.flows > 1<<20 {
		return nil, usagef("--gro-flows %d: want 1 to %d, or 0 for the default", f.flows, 1<<20)
	}
	cfg := &gro.Config{Flows: f.flows}
	var err error
	if cfg.Profile, err = gro.ParseProfile(f.profile); err != nil {
		return nil, usagef("--gro-profile: %v", err)
	}
	if f.flush != "0" {
		if cfg.Flush, err = time.ParseDuration(f.flush); err != nil || cfg.Flush < 0 || cfg.Flush > time.Second {
			return nil, usagef("--gro-flush %q: want 0 or a time up to 1s, like 200us", f.flush)
		}
	}
	ports, err := parseSet("--gro-udp", f.udp)
	if err != nil {
		return nil, err
	}
	for _, p := range ports {
		if p < 1 || p > 65535 {
			return nil, usageError{fmt.Errorf("--gro-udp: port %d: want 1 to 65535", p)}
		}
		cfg.UDPPorts = append(cfg.UDPPorts, uint16(p))
	}
	return cfg, nil
}
