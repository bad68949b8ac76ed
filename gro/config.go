package gro

import (
	"fmt"
	"strings"
	"time"
)

// Profile names the kernel whose rules apply where kernels differ.
type Profile uint8

const (
	Linux69  Profile = iota // 6.9 up to 6.14, without TCP list mode: CWR epochs, fixed IDs only with DF
	Linux618                // 6.18: fixed IDs without DF, outer IDs checked, CWR equal and never on a later packet
	Linux7                  // 7.0 and later: as 6.18, but runs of CWR merge
)

var profileNames = [...]string{"linux69", "linux618", "linux7"}

func (p Profile) String() string { return profileNames[p] }

// ParseProfile is the reverse of String.
func ParseProfile(s string) (Profile, error) {
	for i, n := range profileNames {
		if s == n {
			return Profile(i), nil
		}
	}
	return 0, fmt.Errorf("gro: unknown profile %q: want one of %s", s, strings.Join(profileNames[:], ", "))
}

// Verify says whose layer 4 checksum is verified.
type Verify uint8

const (
	VerifyAll   Verify = iota // every TCP and UDP packet's, so that each delivered packet has a known Csum
	VerifyMerge               // only of packets that could be merged
	VerifyOff                 // nobody's: for benchmarks, or where the device is known to drop bad ones
)

// List says which protocols are chained with their headers kept instead of merged into one packet: for forwarding.
type List uint8

const (
	ListUDP List = 1 << iota // opted-in UDP ports (kernel: NETIF_F_GRO_FRAGLIST)
	ListTCP                  // TCP; kernels since 6.10, so not with Linux69
)

// Config says how an Engine works. The zero value of a field means its default.
type Config struct {
	Profile Profile       // default Linux69
	Off     bool          // merge nothing; packets are still parsed and their checksums verified
	Flows   int           // flows held at most, 1 to 1<<20; default 1024
	Flush   time.Duration // how long a packet may be held; default 0 = until the end of the poll
	MaxSize int           // bytes from the end of the Ethernet header to the end of a merged packet; default and most 65535
	MaxSegs int           // packets merged into one at most; default 0 = no limit but MaxSize (UDP and list mode: 64)
	Frames  int           // frames held at most; default half of the pool
	MTU     int           // longest IP packet that can have been on the wire; longer ones are never merged; default 0 = unknown
	Verify  Verify        // default VerifyAll

	// UDPPorts are the local (destination) ports whose datagrams are merged; default none. A receiver must cut what it
	// gets every GSOSize bytes. Ports of tunnels are refused: what is in them has lengths of its own.
	UDPPorts []uint16
	List     List // default: merge

	// NoMeta says that no XDP program wrote metadata in front of packets: what is there is not believed.
	NoMeta bool

	// KeepPartial delivers packets whose checksum field is only the pseudo-header sum as they are. By default they are
	// merged with each other, as the kernel merges CHECKSUM_PARTIAL: they come from a sender on this machine, over
	// veth, and were never on a wire. The merged packet is CsumPartial again. Where no such sender can exist, setting
	// this refuses the one in 65536 corrupt packets that looks partial.
	KeepPartial bool
}

const (
	defaultFlows = 1024
	maxFlows     = 1 << 20
	maxSize      = 65535 // L1: gro_max_size 65536 is the first length that is too long
	udpCount     = 64    // U8: UDP_GRO_CNT_MAX; 5b and T15: the list limit
)

// tunnelPorts are UDP destination ports that carry packets with headers of their own (IANA; 8472 is Linux's VXLAN).
var tunnelPorts = map[uint16]string{
	1701: "L2TP", 2152: "GTP-U", 3544: "Teredo", 4500: "ESP in UDP", 4789: "VXLAN", 4790: "VXLAN-GPE", 6080: "GUE",
	6081: "Geneve", 6635: "MPLS in UDP", 8472: "VXLAN", 51820: "WireGuard",
}

// Validate says what is wrong with the configuration, if anything, as New would.
func (c Config) Validate() error { return c.validate(0) }

func (c *Config) validate(frames int) error {
	if c.Flows == 0 {
		c.Flows = defaultFlows
	}
	if c.MaxSize == 0 {
		c.MaxSize = maxSize
	}
	if c.MaxSegs == 0 {
		c.MaxSegs = maxSize
	}
	if c.Frames == 0 {
		c.Frames = max(1, frames/2)
	}
	switch {
	case int(c.Profile) >= len(profileNames):
		return fmt.Errorf("gro: unknown profile %d", c.Profile)
	case c.Flows < 1 || c.Flows > maxFlows:
		return fmt.Errorf("gro: %d flows: want 1 to %d", c.Flows, maxFlows)
	case c.Flush < 0:
		return fmt.Errorf("gro: flush after %v: want 0 (end of poll) or more", c.Flush)
	case c.MaxSize < 1 || c.MaxSize > maxSize:
		return fmt.Errorf("gro: largest size %d: want 1 to %d", c.MaxSize, maxSize)
	case c.MaxSegs < 1 || c.MaxSegs > maxSize:
		return fmt.Errorf("gro: %d segments: want 1 to %d", c.MaxSegs, maxSize)
	case c.Frames < 1:
		return fmt.Errorf("gro: %d frames held: want at least 1", c.Frames)
	case c.MTU < 0:
		return fmt.Errorf("gro: MTU %d", c.MTU)
	case c.Verify > VerifyOff:
		return fmt.Errorf("gro: unknown verify policy %d", c.Verify)
	case c.List&^(ListUDP|ListTCP) != 0:
		return fmt.Errorf("gro: unknown list mode %#x", c.List)
	case c.List&ListTCP != 0 && c.Profile == Linux69:
		return fmt.Errorf("gro: TCP list mode came with Linux 6.10: want profile %s or %s", Linux618, Linux7)
	}
	for _, p := range c.UDPPorts {
		if name, ok := tunnelPorts[p]; ok {
			return fmt.Errorf("gro: UDP port %d carries a tunnel (%s): its datagrams must not be merged", p, name)
		}
		if p == 0 {
			return fmt.Errorf("gro: UDP port 0")
		}
	}
	return nil
}
