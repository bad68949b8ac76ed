package vethnet

import (
	"errors"
	"fmt"
	"strings"
)

// Options describes the network. The zero value is usable: one queue, MTU
// 1500, interfaces a0 and b0, anonymous namespaces.
type Options struct {
	// Queues is the number of rx and of tx queues of each end, 1..64;
	// 0 means 1. Native XDP needs the receiver to have at least as many rx
	// queues as its peer has tx queues (drivers/net/veth.c, veth_xdp_set,
	// v6.18), which equal numbers give.
	Queues int
	// QueuesA overrides Queues for the sending end; 0 means Queues.
	QueuesA int
	// MTU of both ends, 68..65535; 0 means 1500. Below 1280 the interfaces
	// have no IPv6 addresses (RFC 8200, section 5).
	MTU int
	// IfA and IfB name the interfaces; empty means a0 and b0.
	IfA, IfB string
	// NameA and NameB, when set, bind the namespaces under /run/netns so
	// that "ip netns exec" and other programs find them. Set both or none.
	NameA, NameB string
	// PeerXDP attaches a native XDP program that passes everything to a0.
	// A frame redirected out of b0 is only taken when a0 has one (or GRO).
	PeerXDP bool
}

const (
	defaultMTU = 1500
	minIPv6MTU = 1280
	maxQueues  = 64
	maxIfName  = 15 // IFNAMSIZ - 1
)

// withDefaults returns o with every zero field replaced by its default.
func (o Options) withDefaults() Options {
	if o.Queues == 0 {
		o.Queues = 1
	}
	if o.QueuesA == 0 {
		o.QueuesA = o.Queues
	}
	if o.MTU == 0 {
		o.MTU = defaultMTU
	}
	if o.IfA == "" {
		o.IfA = "a0"
	}
	if o.IfB == "" {
		o.IfB = "b0"
	}
	return o
}

// validate reports the first option that cannot be met. o has defaults filled in.
func (o Options) validate() error {
	if o.Queues < 1 || o.Queues > maxQueues || o.QueuesA < 1 || o.QueuesA > maxQueues {
		return fmt.Errorf("queues %d and %d: want 1..%d", o.QueuesA, o.Queues, maxQueues)
	}
	if o.MTU < 68 || o.MTU > 65535 {
		return fmt.Errorf("mtu %d: want 68..65535", o.MTU)
	}
	for _, name := range []string{o.IfA, o.IfB} {
		if len(name) > maxIfName || strings.ContainsAny(name, "/ \t\n:") || name == "lo" || name == "." || name == ".." {
			return fmt.Errorf("interface name %q: want 1..%d bytes without / : or space, and not lo", name, maxIfName)
		}
	}
	if (o.NameA == "") != (o.NameB == "") {
		return errors.New("namespace names: set both or none")
	}
	if o.NameA != "" && o.NameA == o.NameB {
		return fmt.Errorf("namespace name %q given twice", o.NameA)
	}
	for _, name := range []string{o.NameA, o.NameB} {
		if strings.ContainsAny(name, "/\x00") || name == "." || name == ".." {
			return fmt.Errorf("namespace name %q: not a file name", name)
		}
	}
	return nil
}
