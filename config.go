package xrx

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"

	"xrx/bpf"
	"xrx/gro"
	"xrx/umem"
	"xrx/xsk"
)

// Config says how to receive. nil, and the zero value of every field, mean the documented default.
type Config struct {
	Queues []int // rx queues to bind; default: all that the interface has

	Frames     int  // UMEM chunks per queue; default 4096
	ChunkSize  int  // bytes: 2048 or 4096; anything from 2048 with Unaligned; default 2048, or 4096 where the driver needs it (chunk.go)
	Headroom   int  // bytes in front of XDP's own 256 for the hidden header; a multiple of 64, default 192
	Unaligned  bool // unaligned chunk mode
	HugePages  bool // 2 MiB pages, with a fallback that Mode.Notes names
	SharedUmem bool // one UMEM for all queues, each with its part of it and rings of its own (XDP_SHARED_UMEM), instead of one per queue
	RingSize   int  // descriptors in the fill ring, a power of two; default Frames, rounded down, of which three quarters are posted; half of Frames with Busy, Workers or no Gather, and in a ForwardConfig
	RxSize     int  // descriptors in the rx ring, a power of two; default RingSize

	Attach       bpf.Mode    // how the XDP program is attached: bpf.Auto (default), bpf.Native, bpf.Generic
	Bind         xsk.Mode    // how the sockets are bound: xsk.Auto (default), xsk.ZeroCopy, xsk.Copy
	MultiBuffer  MultiBuffer // take packets that span several frames: MultiBufferAuto (default), MultiBufferOn, MultiBufferOff
	NoNeedWakeup bool        // don't ask for XDP_USE_NEED_WAKEUP
	TakeAll      bool        // take all traffic even on the interface that carries this machine's default route

	Helper string // path of a unix socket where a helper (package privsep, xrx helper) gives out the program and the sockets; this process then needs no capability. Default: none, Open does all by itself

	Match          string // which packets to take, in the manner of tcpdump (package match); others go to the kernel. Default: all
	KeepManagement bool   // leave to the kernel what the machine is managed by (match.Management: ARP, neighbour discovery, SSH, DHCP, ...)

	SymmetricHash bool // the flow hash is the same in both directions
	NoMeta        bool // the XDP program only redirects, which saves the processor that runs it a tenth: Packet.Meta is none, and truncated packets are not noticed. GRO, views and workers read headers themselves
	HWMeta        bool // read the device's hash, receive time and VLAN where a device-bound program can

	Budget      int           // packets per poll and queue; default 64
	PollTimeout time.Duration // longest sleep while nothing arrives; default 100ms
	Gather      time.Duration // longest sleep while packets come fast, so that more are taken at once; default 100 to 300us, as what a sleep costs here makes worth it (docs/adr/0017); negative = none
	Busy        bool          // never sleep: poll without pause (and SO_PREFER_BUSY_POLL where the driver has it)
	Threads     int           // goroutines, each with a thread, that poll all queues in fair turns; default, and at most, one per queue
	CPUs        []int         // processors for those threads, in order, used round robin; default: not pinned

	GRO *gro.Config // merge segments before delivery; nil = off. gro.Config{} is the default engine

	PanicFatal bool              // a consumer's panic ends Run, which returns it (*PanicError); default: it costs one packet and is counted
	OnPanic    func(*PanicError) // told of each consumer's first panic, on the goroutine that it happened on; default: the standard logger
	OnEvent    func(Event)       // called by Run with what happens to the interface (event.go), on its goroutine: it must not wait for Run

	BusyPoll   time.Duration // let a socket that waits poll the device itself for so long (SO_BUSY_POLL, with SO_PREFER_BUSY_POLL); default 20us with Busy, else not
	BusyBudget int           // packets of such a poll, at most 65535; default Budget
	Settings   Settings      // settings of the interface to change from Open to Close; default: none

	Workers int // call the consumer on so many goroutines, each flow always on the same one; 0 (default): on the queues' own. It implies SymmetricHash
	Backlog int // packets of each queue that may wait for a worker, a power of two; default up to three quarters of Quota
	Quota   int // frames of each queue that the consumer, or each worker, may hold: beyond it gets no more packets. Default: no limit; with Workers an equal share of what the fill ring leaves, negative = no limit

	posted int  // frames to keep posted; 0: as many as the fill ring takes
	sends  bool // frames are for sending too

	CloseTimeout time.Duration // how long Run waits for workers, and Close for packets that consumers hold; default 2s
}

// maxWorkers bounds Config.Workers: beyond some dozens a queue's poll would spend its time on waking them.
const maxWorkers = 256

// rings is the default of RingSize, and how many frames to keep posted: half of the frames, rounded down to a power of
// two; but three quarters of them where the queue sleeps while packets gather, and whatever wakes it late costs packets that
// find no frame (docs/adr/0016). What is left is for GRO and the consumer.
func (c *Config) rings() (size, posted int) {
	half := 1 << max(0, bits.Len(uint(max(0, c.Frames)))-2)
	if c.Busy || c.Gather < 0 || c.Workers > 0 || c.sends {
		return half, 0
	}
	return 2 * half, max(1, c.Frames*3/4)
}

// Validate fills in the defaults and says what is wrong, if anything. Open calls it.
func (c *Config) Validate() error {
	if c.Frames == 0 {
		c.Frames = 4096
	}
	if c.Budget == 0 {
		c.Budget = 64
	}
	if c.RingSize == 0 {
		c.RingSize, c.posted = c.rings()
	}
	if c.RxSize == 0 {
		c.RxSize = c.RingSize
	}
	if c.BusyBudget == 0 {
		c.BusyBudget = min(c.Budget, math.MaxUint16)
	}
	if c.BusyPoll == 0 && c.Busy {
		c.BusyPoll = 20 * time.Microsecond
	}
	if c.PollTimeout == 0 {
		c.PollTimeout = 100 * time.Millisecond
	}
	if c.CloseTimeout == 0 {
		c.CloseTimeout = 2 * time.Second
	}
	if c.Workers > 0 {
		c.SymmetricHash = true
		if c.Quota == 0 {
			c.Quota = c.share()
		}
		if c.Backlog == 0 {
			c.Backlog = c.backlog()
		}
	}
	switch {
	case c.Frames < 2 || c.Frames > 1<<22:
		return fmt.Errorf("xrx: %d frames per queue: want 2 to %d", c.Frames, 1<<22)
	case bits.OnesCount(uint(c.RingSize)) != 1 || bits.OnesCount(uint(c.RxSize)) != 1:
		return fmt.Errorf("xrx: rings of %d and %d descriptors: the kernel takes powers of two", c.RingSize, c.RxSize)
	case c.Budget < 1 || c.Budget > 1<<16:
		return fmt.Errorf("xrx: budget %d: want 1 to %d packets per poll", c.Budget, 1<<16)
	case c.Threads < 0:
		return fmt.Errorf("xrx: %d threads: want at least 1, or 0 for one per queue", c.Threads)
	case c.Gather > 10*time.Millisecond:
		return fmt.Errorf("xrx: gather for %v: want at most 10ms, or packets wait too long", c.Gather)
	case c.PollTimeout < time.Millisecond || c.PollTimeout > time.Second:
		return fmt.Errorf("xrx: poll timeout %v: want 1ms to 1s (a blocked poll does not notice that the interface was deleted)", c.PollTimeout)
	case c.BusyPoll < 0 || c.BusyPoll > 10*time.Millisecond || c.BusyPoll%time.Microsecond != 0:
		return fmt.Errorf("xrx: busy polling for %v: want whole microseconds up to 10ms", c.BusyPoll)
	case c.BusyBudget < 1 || c.BusyBudget > math.MaxUint16:
		return fmt.Errorf("xrx: busy polling with a budget of %d: want 1 to %d packets", c.BusyBudget, math.MaxUint16)
	case c.Workers < 0 || c.Workers > maxWorkers:
		return fmt.Errorf("xrx: %d workers: want 1 to %d, or 0 to deliver on the queues' own goroutines", c.Workers, maxWorkers)
	case c.Workers == 0 && c.Backlog != 0:
		return errors.New("xrx: Backlog is where packets wait for Workers (--workers), of which there are none")
	case c.Workers > 0 && (c.Backlog < 1 || c.Backlog > 1<<22 || bits.OnesCount(uint(c.Backlog)) != 1):
		return fmt.Errorf("xrx: backlog of %d packets: want a power of two, 1 to %d", c.Backlog, 1<<22)
	case c.Quota*max(1, c.Workers) >= c.Frames:
		return fmt.Errorf("xrx: a quota of %d frames for each of %d leaves nothing of %d for the fill ring: want a smaller one (--quota), or more frames (--frames)", c.Quota, max(1, c.Workers), c.Frames)
	case c.NoMeta && c.HWMeta:
		return errors.New("xrx: the device's metadata is asked for (HWMeta, --hw-meta; forwarding always does, for VLAN tags), and none is wanted (NoMeta, --no-meta)")
	case c.NoMeta && c.SymmetricHash && c.Workers == 0:
		return errors.New("xrx: a symmetric flow hash is asked for (SymmetricHash, --symmetric), and no metadata is wanted (NoMeta, --no-meta): there is no hash then")
	case c.Bind == xsk.ZeroCopy && c.Attach == bpf.Generic:
		return errors.New("xrx: zero-copy needs the XDP program in native mode: generic mode accepts the bind and then loses packets")
	}
	if err := c.Settings.validate(); err != nil {
		return err
	}
	if c.Helper != "" && !c.Settings.None() {
		return errors.New("xrx: a helper (--helper) gives program and sockets, and changes no settings of the interface: leave them out, or make them by hand")
	}
	c.Match = strings.TrimSpace(c.Match)
	if _, err := c.Expression(); err != nil {
		return err
	}
	if err := c.region().Validate(); err != nil {
		return fmt.Errorf("xrx: %w", err)
	}
	if c.GRO != nil {
		if err := c.GRO.Validate(); err != nil {
			return fmt.Errorf("xrx: %w", err)
		}
	}
	return nil
}

// region returns the memory layout of one queue.
func (c *Config) region() umem.Config {
	return umem.Config{Frames: c.Frames, ChunkSize: c.ChunkSize, Headroom: c.Headroom, Unaligned: c.Unaligned, HugePages: c.HugePages}
}
