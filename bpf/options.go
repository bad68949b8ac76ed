package bpf

import (
	"fmt"
	"runtime"

	"xrx/match"
)

// DefaultMaxQueues is how many queues a program serves unless Options say otherwise.
const DefaultMaxQueues = 64

// Options, but for Match, are fixed when the program is loaded: the verifier specialises it for them, so what is
// off costs no more than the load of a flag.
// The zero value is a program without hardware hints, an asymmetric hash and seed 0.
type Options struct {
	// Symmetric makes both directions of a flow hash the same.
	Symmetric bool
	// Seed varies the flow hash, so that nobody outside can aim at one worker.
	Seed uint64
	// MaxQueues bounds the queue numbers Register takes: 0..MaxQueues-1. Packets of a queue beyond pass to the kernel.
	// 0 means DefaultMaxQueues.
	MaxQueues int
	// Match says which packets are taken; others pass to the kernel as NotMatched. nil takes all, and costs nothing.
	// SetMatch replaces it.
	Match *match.Expr

	// NoMeta leaves metadata out: the program only redirects. It looks into packets just where Match has to, and counts
	// TooShort, Unparsed and Truncated only then. What stands in front of a packet is then anything: see umem.Header.Meta.
	NoMeta bool

	// HWMeta asks the NIC for a receive timestamp and for the VLAN tag it took off (kernel 6.3; tags 6.8). The program
	// is then bound to the device IfIndex and can be attached there in native mode only; the plain program is
	// kept beside it for where that fails.
	HWMeta bool
	// HWHash takes the NIC's flow hash instead of the computed one. It needs HWMeta. It is not symmetric, and whether it
	// covers ports is the NIC's affair.
	HWHash bool
	// IfIndex is the device to bind to; it needs HWMeta.
	IfIndex int

	// NoFrags loads without multi-buffer support, as kernels before 5.18 force anyway: the interface's MTU is then
	// limited to about a page.
	NoFrags bool
	// RefuseMeta is for tests: the program behaves as on a driver that has no room for metadata.
	RefuseMeta bool
}

func (o *Options) validate() error {
	switch {
	case runtime.GOOS != "linux":
		return fmt.Errorf("bpf: XDP is Linux's, this is %s", runtime.GOOS)
	case o.MaxQueues < 0:
		return fmt.Errorf("bpf: MaxQueues %d is negative", o.MaxQueues)
	case o.HWMeta && o.IfIndex <= 0:
		return fmt.Errorf("bpf: HWMeta needs IfIndex, the device to bind to")
	case o.HWHash && !o.HWMeta:
		return fmt.Errorf("bpf: HWHash needs HWMeta")
	case o.HWMeta && o.NoMeta:
		return fmt.Errorf("bpf: HWMeta is metadata, and NoMeta asks for none")
	}
	if o.MaxQueues == 0 {
		o.MaxQueues = DefaultMaxQueues
	}
	return nil
}
