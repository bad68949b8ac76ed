package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"xrx/internal/netdev"
	"xrx/umem"
)

// note is what is known of a driver.
type note struct {
	verdict Verdict
	text    string
	fix     string // %s is the interface
}

// notes are facts about drivers that were met while building xrx, or that their users report again and again.
var notes = map[string]note{
	"veth":       {OK, "native XDP, no zero-copy; checksums and segmentation are the peer's affair", ""},
	"virtio_net": {OK, "zero-copy needs a device with iommu_platform=on,disable-legacy=on and a recent kernel (7.3 has it, 6.12 not), does no multi-buffer there, and takes all fill descriptors at once: keep the ring at 1024 or more", ""},
	"igb":        {OK, "with zero-copy it rounds buffers down to 1024 bytes and cuts longer packets silently: chunks of 4096 bytes are needed, which xrx takes by itself there", ""},
	"igc":        {OK, "with zero-copy it rounds buffers down to 1024 bytes as igb does: chunks of 4096 bytes are needed, which xrx takes by itself there", ""},
	"ice":        {OK, "has zero-copy; attaching an XDP program may reset the link for a moment", ""},
	"i40e":       {OK, "has zero-copy; attaching an XDP program may reset the link for a moment", ""},
	"mlx5_core":  {Warn, "older versions number their zero-copy queues N to 2N-1 beside the N of copy mode, and duplicate descriptors have been reported, which xrx counts and keeps from the consumer", "ethtool -l %s"},
	"bonding":    {Warn, "a bond may advertise zero-copy and not do it: xrx believes XDP_OPTIONS; receiving on the ports themselves is surer", "xrx run %s --bind copy"},
}

func (e *exam) driver() { e.add(checkDriver(e.info)) }

func checkDriver(i netdev.Info) Check {
	c := Check{"driver", OK, "", "how XDP and AF_XDP behave is up to the driver", ""}
	name := i.Driver
	if name == "" {
		name = "no ethtool driver"
	}
	c.Found = fmt.Sprintf("%s (kind %s)", name, i.Kind)
	n, known := notes[i.Driver]
	if i.Kind == "bond" {
		n, known = notes["bonding"], true
	}
	if known {
		c.Verdict, c.Found = n.verdict, c.Found+": "+n.text
		if n.fix != "" {
			c.Fix = fmt.Sprintf(n.fix, i.Name)
		}
	}
	return c
}

// defaultChunk is the size of a chunk that xrx takes by itself (Config.fit of package xrx).
func defaultChunk(driver string) int {
	if driver == "igb" || driver == "igc" {
		return 4096
	}
	return 2048
}

// linkHeader is the most that precedes an IP packet of MTU bytes: Ethernet and two VLAN tags.
const linkHeader = 14 + 2*4

func (e *exam) mtu() {
	e.add(checkMTU(e.info, e.opts.Chunk, e.report.Kernel, e.support, e.supportErr == nil))
}

func checkMTU(i netdev.Info, chunk int, release string, s netdev.Support, asked bool) Check {
	usable := func(chunk int) int { return chunk - umem.HeaderSize - umem.PacketHeadroom }
	frame := i.MTU + linkHeader
	c := Check{"mtu", OK, fmt.Sprintf("MTU %d: frames up to %d bytes; a chunk of %d bytes holds %d", i.MTU, frame, chunk, usable(chunk)),
		"a longer frame is dropped by the kernel, unless it may lie in several chunks (XDP_USE_SG)", ""}
	if frame <= usable(chunk) {
		return c
	}
	c.Verdict = Warn
	c.Fix = fmt.Sprintf("ip link set dev %s mtu %d", i.Name, usable(chunk)-linkHeader)
	if chunk < 4096 && frame <= usable(4096) {
		c.Fix = fmt.Sprintf("xrx run %s --chunk 4096", i.Name)
	}
	if !atLeast(release, 6, 6) {
		c.Verdict, c.Found = Fail, c.Found+"; this kernel can't have a packet in several chunks (6.6 can)"
		return c
	}
	c.Found += "; xrx takes longer ones in several chunks (multi-buffer), by itself"
	if asked && s.XDP&netdev.ActBasic != 0 && s.XDP&netdev.ActRxSG == 0 {
		c.Found += ", but the driver does so in skb mode only"
	}
	if asked && s.XDP&netdev.ActZeroCopy != 0 && s.ZCSegs <= 1 {
		c.Found += ", but the driver not with zero-copy"
	}
	return c
}

func (e *exam) queues() {
	c := Check{"queues", OK, "", "packets of a queue without a socket go to the kernel; xrx binds all unless --queues says otherwise", ""}
	ch := e.settings.Channels
	c.Found = fmt.Sprintf("%d rx", e.info.Queues)
	if ch.MaxRx > 0 {
		c.Found += fmt.Sprintf(" of at most %d, %d tx", ch.MaxRx, ch.Tx)
	}
	e.add(c)
}

func (e *exam) rss() { e.add(checkRSS(e.info, e.settings)) }

func checkRSS(i netdev.Info, s netdev.Settings) Check {
	c := Check{"rss", OK, "the driver has no table; it spreads flows by itself, if at all", "a flow reaches the queue that the table has for its hash; one that is not bound is not received", ""}
	if s.RSS == nil {
		return c
	}
	reached := s.Reached()
	c.Found = fmt.Sprintf("%d entries lead to %d of %d queues", len(s.RSS), len(reached), i.Queues)
	switch {
	case reached[len(reached)-1] >= i.Queues:
		c.Verdict, c.Found = Warn, fmt.Sprintf("%s, and to queue %d, which xrx does not see", c.Found, reached[len(reached)-1])
	case len(reached) < i.Queues:
		c.Verdict, c.Found = Warn, fmt.Sprintf("%s (%s): the others get nothing by hash", c.Found, numbers(reached))
	default:
		return c
	}
	c.Fix = fmt.Sprintf("ethtool -X %s equal %d", i.Name, i.Queues)
	return c
}

func numbers(list []int) string {
	text := make([]string, len(list))
	for i, n := range list {
		text[i] = strconv.Itoa(n)
	}
	return strings.Join(text, ",")
}

// hurting are offloads of the receiving interface that change packets before XDP sees them, or keep XDP away.
var hurting = []struct{ kernel, ethtool, why string }{
	{"rx-lro", "lro", "LRO merges packets irrecoverably, and drivers refuse native XDP with it"},
	{"rx-gro-hw", "rx-gro-hw", "the card merges packets before XDP sees them: super-frames longer than the MTU"},
	{"rx-vlan-hw-parse", "rxvlan", "the card takes VLAN tags out of packets, and they are lost (--hw-meta asks for them, where the driver has the kfunc)"},
}

func (e *exam) offloads(err error) { e.add(checkOffloads(e.info, e.settings.Offloads, err)) }

func checkOffloads(i netdev.Info, offloads map[string]netdev.Offload, err error) Check {
	c := Check{"offloads", OK, "none that hurts is on (LRO, rx-gro-hw)", "what merges or changes packets before XDP sees them hides what was on the wire", ""}
	if err != nil {
		c.Verdict, c.Found, c.Fix = Warn, err.Error(), "ethtool -k "+i.Name
		return c
	}
	var on, why, off []string
	for _, h := range hurting {
		// A software device has the tags in the skb, where the kernel puts them back for XDP.
		if o := offloads[h.kernel]; !o.On || h.ethtool == "rxvlan" && i.Kind != "device" {
			continue
		} else if o.Fixed {
			on = append(on, h.ethtool+" (can't be switched off)")
		} else {
			on, off = append(on, h.ethtool), append(off, h.ethtool+" off")
		}
		why = append(why, h.why)
	}
	if on == nil {
		return c
	}
	c.Verdict, c.Found, c.Why = Warn, "on: "+strings.Join(on, ", "), strings.Join(why, "; ")
	if off != nil {
		c.Fix = fmt.Sprintf("ethtool -K %s %s", i.Name, strings.Join(off, " "))
	}
	return c
}

// peer looks at the other end of a veth: it fills in the checksums, cuts the segments, and has the tx queues.
func (e *exam) peer() {
	p, err := netdev.VethPeer(e.info.Name)
	e.add(checkPeer(e.info, p, err))
	if err == nil {
		e.add(checkPeerQueues(e.info, e.settings.Channels.MaxRx, p))
	}
}

func checkPeer(i netdev.Info, p *netdev.Peer, err error) Check {
	c := Check{ID: "peer", Verdict: OK, Why: "with its tx checksum offload on, checksums of local senders arrive partial (pseudo-header only) and fail verification; with TSO on, skb mode gets frames up to 64 KiB"}
	if err != nil {
		c.Verdict, c.Found = Warn, fmt.Sprintf("the peer of %s can't be seen: %v", i.Name, err)
		c.Fix = "ethtool -K PEER tx off" // there, wherever it is
		return c
	}
	var on []string
	for _, o := range []string{"tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-tcp6-segmentation"} {
		if p.Offloads[o].On {
			on = append(on, o)
		}
	}
	c.Found = p.Name + " has its tx checksum offload and TSO off"
	if on != nil {
		c.Verdict, c.Found = Warn, fmt.Sprintf("%s has on: %s", p.Name, strings.Join(on, ", "))
		c.Fix = in(p, fmt.Sprintf("ethtool -K %s tx off", p.Name))
		if !slices.Contains(on, "tx-checksum-ip-generic") {
			c.Fix = in(p, fmt.Sprintf("ethtool -K %s tso off", p.Name))
		}
	}
	return c
}

// checkPeerQueues: native XDP on a veth needs as many rx queues as its peer has tx queues (veth_xdp_set, v6.18).
func checkPeerQueues(i netdev.Info, maxRx int, p *netdev.Peer) Check {
	c := Check{"peer-queues", OK, fmt.Sprintf("%s has %d tx queues, %s %d rx", p.Name, p.TxQueues, i.Name, i.Queues),
		"a veth with fewer rx queues than its peer has tx queues refuses native XDP (ENOSPC): only skb mode is left", ""}
	if p.TxQueues > i.Queues {
		c.Verdict = Warn
		c.Fix = in(p, fmt.Sprintf("ethtool -L %s tx %d", p.Name, i.Queues))
		if maxRx >= p.TxQueues {
			c.Fix = fmt.Sprintf("ethtool -L %s rx %d", i.Name, p.TxQueues)
		}
	}
	return c
}

// in is a command in the peer's namespace.
func in(p *netdev.Peer, command string) string {
	if p.Into == "" {
		return command
	}
	return p.Into + " " + command
}

func (e *exam) coalesce() { e.add(checkCoalesce(e.info.Name, e.settings.Coalesce)) }

func checkCoalesce(name string, k *netdev.Coalesce) Check {
	c := Check{"coalesce", OK, "the driver has no interrupt coalescing to set", "how long the card holds an interrupt back is latency, and packets per poll", ""}
	if k == nil {
		return c
	}
	c.Found = fmt.Sprintf("rx-usecs %d, rx-frames %d", k.RxUsecs, k.RxFrames)
	if k.Adaptive {
		c.Found += ", adaptive"
	}
	if k.RxUsecs >= 1000 && !k.Adaptive {
		c.Verdict, c.Fix = Warn, fmt.Sprintf("ethtool -C %s rx-usecs 50", name)
	}
	return c
}

func (e *exam) napi() {
	s, err := netdev.OpenSysfs(e.info, e.attrs.HardwareAddr.String())
	if err != nil {
		e.add(Check{"napi", OK, "not readable: " + err.Error(), whyNAPI, ""})
		return
	}
	defer s.Close()
	var knobs [3]int
	for i, file := range []string{"napi_defer_hard_irqs", "gro_flush_timeout", "threaded"} {
		text, err := s.Read(e.info.Name, file)
		if err == nil {
			knobs[i], err = strconv.Atoi(text)
		}
		if err != nil && file != "threaded" { // came later, in 5.12
			e.add(Check{"napi", OK, "not readable: " + err.Error(), whyNAPI, ""})
			return
		}
	}
	e.add(checkNAPI(e.info.Name, knobs[0], knobs[1], knobs[2]))
}

const whyNAPI = "interrupts that are put off suit a receiver that polls (--busy); for one that sleeps they are latency"

func checkNAPI(name string, deferIRQs, flushNs, threaded int) Check {
	c := Check{"napi", OK, fmt.Sprintf("napi_defer_hard_irqs %d, gro_flush_timeout %d ns, threaded %d", deferIRQs, flushNs, threaded), whyNAPI,
		fmt.Sprintf("echo 0 > /sys/class/net/%[1]s/napi_defer_hard_irqs; echo 0 > /sys/class/net/%[1]s/gro_flush_timeout", name)}
	switch {
	case deferIRQs > 0 && flushNs == 0:
		c.Verdict, c.Why = Warn, "interrupts are put off for so many empty polls, but no timer polls again: without gro_flush_timeout it does nothing"
	case flushNs >= 1e6 && deferIRQs > 0:
		c.Verdict, c.Why = Warn, "packets wait for up to that time, unless somebody busy-polls: left behind, perhaps, by a program that did"
	case flushNs >= 1e6:
		c.Verdict, c.Why = Warn, "the kernel's GRO holds packets of the interface for up to that time"
	}
	return c
}
