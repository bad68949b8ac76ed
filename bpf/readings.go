package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"xrx/internal/sys"
)

// Readings are the numbers of a program that another process has loaded: nothing can be changed through them.
type Readings struct {
	counts, told []byte
}

// Share freezes the program's counters, and its word about metadata and packets that are cut, so that from now on only the program itself
// writes them (BPF_MAP_FREEZE, Linux 5.2), and returns their descriptors, which stay the Program's.
func (p *Program) Share() (counts, told int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return -1, -1, ErrClosed
	}
	for _, m := range []*ebpf.Map{p.obj.Counts, p.obj.Told} {
		if err := m.Freeze(); err != nil {
			return -1, -1, fmt.Errorf("bpf: freeze %s: %w", m, err)
		}
	}
	return p.obj.Counts.FD(), p.obj.Told.FD(), nil
}

// OpenReadings reads by descriptors that Share returned in another process; it takes no capability. They are the Readings'
// from now on, also on error.
func OpenReadings(counts, told int) (r *Readings, err error) {
	r = &Readings{}
	r.told, err = sys.MapShared(told, binary.Size(xrxXrxTold{}))
	err = errors.Join(err, sys.Close(told))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bpf: map the program's word into memory: %w", err), sys.Close(counts))
	}
	m, err := ebpf.NewMapFromFD(counts) // which closes it
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bpf: the program's counters: %w", err), r.Close())
	}
	defer m.Close() // the mapping stays
	if size := int(m.ValueSize()); m.Type() != ebpf.Array || size == 0 || size%countsSize != 0 {
		return nil, errors.Join(fmt.Errorf("bpf: these are not the program's counters but a %s", m), r.Close())
	}
	if r.counts, err = sys.MapShared(m.FD(), int(m.ValueSize())); err != nil {
		return nil, errors.Join(fmt.Errorf("bpf: map the program's counters into memory: %w", err), r.Close())
	}
	return r, nil
}

// Counters is Program.Counters.
func (r *Readings) Counters() (Counters, error) { return readCounters(r.counts), nil }

// MetaRefused is Program.MetaRefused.
func (r *Readings) MetaRefused() bool { return sys.LoadUint32(r.told) != 0 }

// Truncated is Program.Truncated.
func (r *Readings) Truncated() int { return truncated(r.told) }

// Close gives them back.
func (r *Readings) Close() error { return unmap(r.counts, r.told) }

// unmap gives mappings back; those that never came to be are nil.
func unmap(mappings ...[]byte) error {
	var errs []error
	for _, mem := range mappings {
		if mem != nil {
			errs = append(errs, sys.Unmap(mem))
		}
	}
	return errors.Join(errs...)
}
