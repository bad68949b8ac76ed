package doctor

import (
	"fmt"

	"xrx/internal/netdev"
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
