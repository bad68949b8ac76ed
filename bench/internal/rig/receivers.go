package rig

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Ceiling counts and drops in XDP: what the source and the veth pair can do at most.
func (g *Rig) Ceiling() Receiver { return ceiling{g.Net.B} }

// C is the loop in C, poll or busy; more is what it is to do beside. nil: it could not be built.
func (g *Rig) C(mode string, more ...string) *Program {
	if g.CXSK == "" {
		return nil
	}
	return &Program{name: "C libxdp, " + mode, end: g.Net.B, cpu: g.CPU, args: append([]string{g.CXSK, g.Net.B.Iface, mode}, more...),
		ready: isReady, parse: loopCounts}
}

// LoopOf is a receive loop of bench/loop.
func (g *Rig) LoopOf(title, name string, more ...string) *Program {
	return &Program{name: title, end: g.Net.B, cpu: g.CPU, ready: isReady, parse: loopCounts,
		args: append([]string{g.Loop, "-iface", g.Net.B.Iface, "-cpu", strconv.Itoa(g.CPU)}, append(more, name)...)}
}

// AFPacket is gopacket's TPACKET_V3.
func (g *Rig) AFPacket() *Program {
	p := g.LoopOf("AF_PACKET TPACKET_V3 (gopacket)", "afpacket")
	// Redirected frames are only taken by an end that has an XDP program or GRO (drivers/net/veth.c, veth_xdp_xmit, v6.18).
	pass := &passing{end: g.Net.B} // GRO would merge, and what was received could not be counted
	p.setUp = pass.setUp
	return p
}

// Around is what a sample takes beside its length, more or less: the start and the end of source and receiver, and
// until xrx is ready the second before its first report.
const Around = 1100 * time.Millisecond

// Run is xrx run with flags, which reports once a second as it does unless told otherwise. bin is "" for the rig's own.
func (g *Rig) Run(title, bin, flags string) *Program {
	if bin == "" {
		bin = g.XRX
	}
	args := append([]string{bin, "run", g.Net.B.Iface, "--json", "--cpu", strconv.Itoa(g.CPU)}, strings.Fields(flags+" "+g.Flags)...)
	return &Program{name: title, end: g.Net.B, cpu: g.CPU, args: args, pins: true, parse: xrxSummary,
		ready: func(line string) bool { return strings.HasPrefix(line, "{") }}
}

// Dump is xrx dump, which writes every packet as pcapng to nowhere: what serialising costs, not what a disk does.
func (g *Rig) Dump() *Program {
	// sh makes one output of two: dump says on stderr when it is ready, and what it wrote.
	args := []string{"sh", "-c", `exec "$0" "$@" 2>&1`, g.XRX, "dump", g.Net.B.Iface, "-w", "/dev/null", "--gro", "off", "--cpu", strconv.Itoa(g.CPU)}
	return &Program{name: "xrx, GRO off, pcapng to /dev/null", end: g.Net.B, cpu: g.CPU, args: args, parse: dumpSummary,
		ready: func(line string) bool { return strings.HasPrefix(line, "receiving on") }}
}

// Receivers are the rows of the table, in its order.
func (g *Rig) Receivers() (rs []Receiver) {
	rs = append(rs, g.Ceiling())
	for _, mode := range []string{"poll", "busy"} {
		if p := g.C(mode); p != nil {
			rs = append(rs, p)
		}
	}
	if _, err := exec.LookPath("dpdk-testpmd"); err != nil {
		g.Skipped = append(g.Skipped, "DPDK testpmd: "+err.Error()+" (Debian: apt-get install dpdk)")
	} else {
		rs = append(rs, g.Testpmd())
	}
	rs = append(rs, g.LoopOf("asavie/xdp, poll", "asavie"), g.AFPacket())
	for _, m := range []struct{ name, flags string }{
		{"xrx, GRO off", "--gro off"},
		{"xrx, GRO off, wake for every packet", "--gro off --gather 0"},
		{"xrx, GRO off, busy", "--gro off --busy"},
		{"xrx, GRO off, no metadata", "--gro off --no-meta"},
		{"xrx, GRO off, no metadata, busy", "--gro off --no-meta --busy"},
		{"xrx, GRO on", "--gro on"},
		{"xrx, GRO on, busy", "--gro on --busy"},
	} {
		rs = append(rs, g.Run(m.name, "", m.flags))
	}
	return append(rs, g.LoopOf("xrx, GRO off, consumer on another goroutine", "xrx", "-apart"), g.Dump())
}

func isReady(line string) bool { return line == "ready" }

// Testpmd is DPDK's packet forwarder with its AF_XDP driver, receive only: one idle thread on another processor, and the
// one that polls.
func (g *Rig) Testpmd() *Program {
	main := 0
	if g.CPU == 0 {
		main = 1
	}
	return &Program{name: "DPDK testpmd, net_af_xdp", end: g.Net.B, cpu: g.CPU, pins: true, quit: "\n",
		args: []string{"env", "RUNTIME_DIRECTORY=" + g.Dir, "stdbuf", "-oL", "dpdk-testpmd", "--no-huge", "--no-pci", "--no-telemetry", "-m", "256", "--file-prefix", "xrxbench" + strconv.Itoa(os.Getpid()),
			"--lcores", fmt.Sprintf("0@%d,1@%d", main, g.CPU), "--main-lcore", "0", "--log-level", "lib.eal:error",
			"--vdev", "net_af_xdp0,iface=" + g.Net.B.Iface, "--", "--forward-mode=rxonly", "--no-mlockall", "--total-num-mbufs=16384", "--rxd=2048"},
		ready: func(line string) bool { return strings.HasPrefix(line, "rxonly packet forwarding") },
		parse: testpmdCounts}
}

var (
	rxPackets = regexp.MustCompile(`RX-packets:\s*(\d+)`)
	written   = regexp.MustCompile(`([\d,]+) written`)
)

// Only keeps the receivers that have one of the comma separated parts in their names.
func Only(rs []Receiver, only string) (kept []Receiver) {
	for _, r := range rs {
		for part := range strings.SplitSeq(only, ",") {
			if strings.Contains(r.Name(), part) {
				kept = append(kept, r)
				break
			}
		}
	}
	return kept
}
