// Package doctor examines an interface and the machine for what an AF_XDP receiver needs, and says of each thing
// whether it is well, why it matters, and the command that mends it. It reads; the one thing that it does is to bind a
// socket to a queue that nobody has, without an XDP program (so that no packet comes), and to close it again.
package doctor

import (
	"fmt"
	"net"
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
	Try    Try // "" is TryAuto
	Chunk  int // bytes of a frame that xrx would use; 0: what it takes by itself with this driver
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
	e.offloads(settingsErr)
	if e.info.Kind == "veth" {
		e.peer()
	}
	e.coalesce()
	e.napi()
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

func (e *exam) link() {
	c := Check{"link", OK, "", "a link that is down gives no packet, and AF_XDP's poll says nothing about it", ""}
	up := e.attrs.Flags&net.FlagUp != 0
	running := e.attrs.OperState == netlink.OperUp || e.attrs.OperState == netlink.OperUnknown
	c.Found = "up, " + e.attrs.OperState.String()
	switch {
	case !up:
		c.Verdict, c.Found = Fail, "it is set down"
		c.Fix = fmt.Sprintf("ip link set dev %s up", e.info.Name)
	case !running:
		c.Verdict, c.Found = Warn, fmt.Sprintf("set up, but its state is %s: no carrier", e.attrs.OperState)
		c.Fix = "ethtool " + e.info.Name
		if e.info.Kind == "veth" {
			c.Fix = "ip link set dev PEER up" // in whichever namespace
		}
	}
	e.add(c)
}

func (e *exam) traffic() {
	c := Check{"traffic", OK, "neither the default route nor this SSH session runs over it, and it is nobody's port", "on its queues xrx takes every packet: the machine would be cut off", ""}
	switch {
	case e.lifeline != "":
		c.Verdict, c.Found = Warn, e.lifeline+": xrx run refuses it"
		c.Fix = fmt.Sprintf("xrx run %s --take-all", e.info.Name)
	case e.attrs.MasterIndex != 0:
		master := fmt.Sprintf("interface %d", e.attrs.MasterIndex)
		if l, err := netlink.LinkByIndex(e.attrs.MasterIndex); err == nil {
			master = fmt.Sprintf("%s (%s)", l.Attrs().Name, l.Type())
		}
		c.Verdict, c.Found, c.Why = Warn, "it is a port of "+master, "what xrx takes here never reaches "+master
		c.Fix = fmt.Sprintf("ip link set dev %s nomaster", e.info.Name)
	}
	e.add(c)
}
