// Package doctor examines an interface and the machine for what an AF_XDP receiver needs, and says of each thing
// whether it is well, why it matters, and the command that mends it. It reads; the one thing that it does is to bind a
// socket to a queue that nobody has, without an XDP program (so that no packet comes), and to close it again.
package doctor

import (
	"slices"

	"github.com/vishvananda/netlink"

	"xrx/internal/netdev"
)

// Verdict is what the doctor thinks of one thing.
type Verdict string

// The verdicts: Warn is what makes reception slower, incomplete or surprising; with Fail there is none.
const (
	OK   Verdict = "ok"
	Warn Verdict = "warn"
	Fail Verdict = "fail"
)

// Check is one thing that was examined.
type Check struct {
	ID      string  `json:"id"` // stable: for scripts
	Verdict Verdict `json:"verdict"`
	Found   string  `json:"found"`
	Why     string  `json:"why"`           // it matters
	Fix     string  `json:"fix,omitempty"` // the command that mends it; "" where all is well or nothing mends it
}

// Report is an examination.
type Report struct {
	Interface string  `json:"iface"`
	Driver    string  `json:"driver"`
	Kernel    string  `json:"kernel"`  // uname -r
	Verdict   Verdict `json:"verdict"` // the worst of all checks
	Checks    []Check `json:"checks"`
}

// Try says when a zero-copy bind is tried.
type Try string

// Auto leaves alone an interface that carries the default route or this SSH session, or that has an XDP program: some
// drivers restart a queue, or the link, when a socket takes it.
const (
	TryAuto   Try = "auto"
	TryAlways Try = "always"
	TryNever  Try = "never"
)

// Options say how to examine.
type Options struct {
	Try      Try    // "" is TryAuto
	Chunk    int    // bytes of a frame that xrx would use; 0: what it takes by itself with this driver
	StateDir string // of settings that receivers changed; "": the default

	Frames int // per queue that xrx would use; default 4096
}

// exam is an examination under way: what was found out that several checks need.
type exam struct {
	opts       Options
	report     *Report
	info       netdev.Info
	attrs      *netlink.LinkAttrs
	settings   netdev.Settings
	support    netdev.Support
	supportErr error
	programs   []netdev.XDPProgram
	taken      []int // queues with an AF_XDP socket
	takenKnown bool
	lifeline   string
}

// Examine examines an interface of the calling thread's network namespace; the caller stays on that thread. The error
// says that there is no such interface; the report then has that one check.
func Examine(iface string, opts Options) (*Report, error) {
	if opts.Frames == 0 {
		opts.Frames = 4096
	}
	if opts.Try == "" {
		opts.Try = TryAuto
	}
	e := &exam{opts: opts, report: &Report{Interface: iface, Kernel: release(), Verdict: OK}}
	var err error
	if e.info, err = netdev.Get(iface); err == nil {
		var l netlink.Link
		if l, err = netlink.LinkByName(iface); err == nil {
			e.attrs = l.Attrs()
		}
	}
	if err != nil {
		e.add(Check{"interface", Fail, err.Error(), "there is nothing to receive from", "ip link"})
		return e.report, err
	}
	e.report.Driver = e.info.Driver
	if e.opts.Chunk == 0 {
		e.opts.Chunk = defaultChunk(e.info.Driver)
	}
	e.lifeline = netdev.Lifeline(e.info)
	settings, settingsErr := netdev.GetSettings(iface)
	e.settings = settings
	e.support, e.supportErr = netdev.GetSupport(e.info.Index)
	programs, programsErr := netdev.XDPPrograms(e.info.Index)
	e.programs = programs
	e.taken, e.takenKnown = netdev.QueuesWithSockets(e.info.Index)

	e.kernel()
	e.config()
	e.jit()
	e.capabilities()
	e.memlock()
	e.hugePages()
	e.driver()
	e.link()
	e.traffic()
	e.mtu()
	e.queues()
	e.rss()
	e.flowRules()
	e.offloads(settingsErr)
	if e.info.Kind == "veth" {
		e.peer()
	}
	e.coalesce()
	e.napi()
	e.leftSettings()
	e.features()
	e.metadata()
	e.others(programsErr)
	e.sockets()
	e.zeroCopy()
	return e.report, nil
}

func (e *exam) add(c Check) {
	if c.Verdict == OK {
		c.Fix = ""
	}
	e.report.Checks = append(e.report.Checks, c)
	order := []Verdict{OK, Warn, Fail}
	if slices.Index(order, c.Verdict) > slices.Index(order, e.report.Verdict) {
		e.report.Verdict = c.Verdict
	}
}

// Count returns the number of checks with a verdict.
func (r *Report) Count(v Verdict) (n int) {
	for _, c := range r.Checks {
		if c.Verdict == v {
			n++
		}
	}
	return n
}

// Failed names the checks that failed.
func (r *Report) Failed() (ids []string) {
	for _, c := range r.Checks {
		if c.Verdict == Fail {
			ids = append(ids, c.ID)
		}
	}
	return ids
}
