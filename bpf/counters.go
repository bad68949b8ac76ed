package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
)

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
	return readCounters(p.obj.Counts)
}

func readCounters(m *ebpf.Map) (Counters, error) {
	var perCPU []xrxXrxCounts
	if err := m.Lookup(uint32(0), &perCPU); err != nil {
		return Counters{}, fmt.Errorf("bpf: read counters: %w", err)
	}
	c := Counters{PerCPU: make([]Counts, len(perCPU))}
	for cpu, counts := range perCPU {
		c.PerCPU[cpu] = counts.N
		for reason, n := range counts.N {
			c.Total[reason] += n
		}
	}
	return c, nil
}
