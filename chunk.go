package xrx

import (
	"xrx/bpf"
	"xrx/internal/netdev"
	"xrx/xsk"
)

// bufferStep are drivers that in zero-copy mode round the room in a chunk down to so many bytes when they tell their
// device how long receive buffers are (igb_setup_srrctl in igb_main.c, igc_configure_rx_ring in igc_main.c, v6.18). Of a
// chunk of 2048, 1024 bytes are left, and the rest of a longer frame arrives as if it were another one: seen with igb.
var bufferStep = map[string]int{"igb": 1024, "igc": 1024}

// fit chooses the chunk size where the configuration leaves it open.
func (c *Config) fit(i netdev.Info) {
	if c.ChunkSize == 0 && !c.Unaligned && c.Bind != xsk.Copy && c.Attach != bpf.Generic && bufferStep[i.Driver] > 0 {
		c.ChunkSize = 4096
	}
}

// cut returns the longest frame in bytes that a driver receives whole into chunks with so much room, where that is less
// than frames on the interface may have; 0 where it is not.
func cut(room int, i netdev.Info) int {
	step := bufferStep[i.Driver]
	if step == 0 || room-room%step >= i.MTU+linkHeader {
		return 0
	}
	return room - room%step
}
