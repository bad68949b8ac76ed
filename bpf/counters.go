package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"xrx/internal/sys"
)

// xrxMapCounts is the section that is nothing but the counters.
const xrxMapCounts = ".data.counts"

// Reason is what became of a packet in the program.
type Reason int

// Each packet counts as exactly one of the first four; the others say more about packets that were Redirected.
const (
	Redirected  = Reason(xrxXrxReasonXRX_REDIRECTED)   // handed to the AF_XDP socket of its queue
	NoSocket    = Reason(xrxXrxReasonXRX_NO_SOCKET)    // passed to the kernel: none registered for its queue
	NotMatched  = Reason(xrxXrxReasonXRX_NOT_MATCHED)  // passed to the kernel: not what xrx was asked to take
	Disabled    = Reason(xrxXrxReasonXRX_DISABLED)     // passed to the kernel: SetEnabled(false)
	MetaRefused = Reason(xrxXrxReasonXRX_META_REFUSED) // the driver has no room for metadata: redirected without
	TooShort    = Reason(xrxXrxReasonXRX_TOO_SHORT)    // its headers end beyond its (first) buffer: metadata as far as they go
	Unparsed    = Reason(xrxXrxReasonXRX_UNPARSED)     // neither IPv4 nor IPv6, or malformed: hashed by MAC addresses
	Truncated   = Reason(xrxXrxReasonXRX_TRUNCATED)    // shorter than its IP header says: not whole, and redirected as it is
	NumReasons  = Reason(xrxXrxReasonXRX_REASONS)
)

var reasonNames = [NumReasons]string{
	Redirected:  "redirected",
	NoSocket:    "no_socket",
	NotMatched:  "not_matched",
	Disabled:    "disabled",
	MetaRefused: "meta_refused",
	TooShort:    "too_short",
	Unparsed:    "unparsed",
	Truncated:   "truncated",
}

// String is the reason's stable name, as in reports and metrics.
func (r Reason) String() string {
	if r < 0 || r >= NumReasons {
		return fmt.Sprintf("Reason(%d)", int(r))
	}
	return reasonNames[r]
}

// Counts are packets by Reason.
type Counts [NumReasons]uint64

// Packets is how many packets the program saw.
func (c Counts) Packets() uint64 {
	return c[Redirected] + c[NoSocket] + c[NotMatched] + c[Disabled]
}

// Counters are what the program counted since it was loaded.
type Counters struct {
	Total  Counts
	PerCPU []Counts // one for each possible CPU; its only writer is the program on that CPU
}

// Counters reads the counters of all CPUs. They are not stopped for it, so packets in flight may be in one and not
// yet in another.
func (p *Program) Counters() (Counters, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return Counters{}, ErrClosed
	}
	return readCounters(p.counts), nil
}

// countsSize is the length of struct xrx_counts: one processor's counters, a cache line.
const countsSize = 8 * int(NumReasons)

// readCounters reads all of mem, the counters of each CPU in turn.
func readCounters(mem []byte) Counters {
	c := Counters{PerCPU: make([]Counts, len(mem)/countsSize)}
	for cpu := range c.PerCPU {
		for reason := range NumReasons {
			n := sys.LoadUint64(mem[cpu*countsSize+8*int(reason):])
			c.PerCPU[cpu][reason] = n
			c.Total[reason] += n
		}
	}
	return c
}

// sizeCounters gives every possible CPU its counters: the object has those of one.
func sizeCounters(spec *ebpf.CollectionSpec) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("bpf: how many processors there may be: %w", err)
	}
	if err := spec.Variables[xrxVarCpus].Set(uint32(cpus)); err != nil {
		return fmt.Errorf("bpf: set %s: %w", xrxVarCpus, err)
	}
	m := spec.Maps[xrxMapCounts]
	m.ValueSize = uint32(cpus * countsSize)
	m.Contents = []ebpf.MapKV{{Key: uint32(0), Value: make([]byte, m.ValueSize)}}
	section, ok := m.Value.(*btf.Datasec) // the kernel wants the type to be as long as the value
	if !ok || len(section.Vars) != 1 {
		return fmt.Errorf("bpf: %s is not one variable: %v", xrxMapCounts, m.Value)
	}
	array, ok := btf.UnderlyingType(section.Vars[0].Type.(*btf.Var).Type).(*btf.Array)
	if !ok {
		return fmt.Errorf("bpf: %s is not an array: %v", xrxMapCounts, section.Vars[0].Type)
	}
	section.Size, section.Vars[0].Size, array.Nelems = m.ValueSize, m.ValueSize, uint32(cpus)
	return nil
}
