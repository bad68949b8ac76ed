package doctor

import (
	"fmt"

	"xrx/internal/netdev"
	"xrx/umem"
)

// linkHeader is the most that precedes an IP packet of MTU bytes: Ethernet and two VLAN tags.
const linkHeader = 14 + 2*4

func (e *exam) mtu() {
	e.add(checkMTU(e.info, e.opts.Chunk, e.report.Kernel, e.support, e.supportErr == nil))
}

func checkMTU(i netdev.Info, chunk int, release string, s netdev.Support, asked bool) Check {
	usable := func(chunk int) int { return chunk - umem.DefaultHeadroom - umem.PacketHeadroom }
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
