package bpf

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"

	"xrx/internal/sys"
)

// Program is the loaded program with its maps. All methods may be called from any goroutine.
type Program struct {
	opts     Options
	switchAt uint32 // offset of the on-off switch in obj.Globals
	obj      objects
	counts   []byte        // Counts, mapped
	told     []byte        // Told, mapped
	hints    *ebpf.Program // nil unless HWMeta was asked for and granted

	hintsRefused *Attempt // why hints is nil although it was asked for

	mu          sync.Mutex
	closed      bool
	attachments map[*Attachment]struct{} // those not closed yet
}

// objects are the kernel's, by their names in the C; LoadAndAssign fills them in. The variables are left out on purpose:
// for one of them the library would map its section into memory, and unmap it whenever the garbage
// collector comes by. A map update turns the switch as well.
type objects struct {
	Plain   *ebpf.Program `ebpf:"xrx_rx"`
	Sockets *ebpf.Map     `ebpf:"xsks"`
	Counts  *ebpf.Map     `ebpf:".data.counts"`
	Globals *ebpf.Map     `ebpf:".bss"`
	Told    *ebpf.Map     `ebpf:"told"`
}

// ErrClosed is returned by the methods of a closed Program.
var ErrClosed = errors.New("bpf: program is closed")

func newProgram(opts Options, spec *ebpf.CollectionSpec) *Program {
	return &Program{
		opts:        opts,
		switchAt:    spec.Variables[xrxVarDisabled].Offset,
		attachments: make(map[*Attachment]struct{}),
	}
}

// Register sends the packets of a queue to the AF_XDP socket fd, from now until Unregister, or until the socket is closed:
// the kernel drops the entry with it. A queue registered before is handed over.
//
// The socket needs its UMEM, fill and rx rings (else EOPNOTSUPP), and should be bound to this queue: packets redirected
// to a socket bound elsewhere are dropped by the kernel.
func (p *Program) Register(queue, fd int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkQueue(queue); err != nil {
		return err
	}
	if fd < 0 {
		return fmt.Errorf("bpf: register queue %d: fd %d is none", queue, fd)
	}
	if err := p.obj.Sockets.Put(uint32(queue), uint32(fd)); err != nil {
		return fmt.Errorf("bpf: register queue %d: %w", queue, err)
	}
	return nil
}

// Unregister lets the packets of a queue pass to the kernel again. A queue that isn't registered is no error.
func (p *Program) Unregister(queue int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkQueue(queue); err != nil {
		return err
	}
	if err := p.obj.Sockets.Delete(uint32(queue)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("bpf: unregister queue %d: %w", queue, err)
	}
	return nil
}

func (p *Program) checkQueue(queue int) error {
	if p.closed {
		return ErrClosed
	}
	if queue < 0 || queue >= p.opts.MaxQueues {
		return fmt.Errorf("bpf: queue %d is not in 0..%d, as MaxQueues says", queue, p.opts.MaxQueues-1)
	}
	return nil
}

// SetEnabled(false) makes every packet pass to the kernel from the next one on, without detaching; SetEnabled(true)
// undoes it. A program starts enabled. On shutdown this comes first, so that the rx rings can be drained.
func (p *Program) SetEnabled(on bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	globals := make([]byte, p.obj.Globals.ValueSize()) // nothing else in there is ever set
	if !on {
		globals[p.switchAt] = 1
	}
	if err := p.obj.Globals.Put(uint32(0), globals); err != nil {
		return fmt.Errorf("bpf: set enabled=%t: %w", on, err)
	}
	return nil
}

// MetaRefused reports whether a packet was redirected without metadata since the program was loaded. It is one load
// from memory that the program writes; asked after descriptors were taken off an rx ring, it covers their packets.
// Not to be called after Close.
func (p *Program) MetaRefused() bool { return sys.LoadUint32(p.told) != 0 }

// Truncated returns how many bytes there were of the last packet that was shorter than its IP header says (Reason
// Truncated), or 0 where all were whole since the program was loaded. It is one load too. Not to be called after Close.
func (p *Program) Truncated() int { return truncated(p.told) }

// truncated reads the second word of struct xrx_told.
func truncated(told []byte) int { return int(sys.LoadUint32(told[4:])) }

// Close detaches the program wherever it is still attached and unloads it. Closing again is no error.
func (p *Program) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	var left []*Attachment
	for a := range p.attachments {
		left = append(left, a)
	}
	p.mu.Unlock()

	var errs []error
	for _, a := range left {
		errs = append(errs, a.Close())
	}
	errs = append(errs, p.obj.Plain.Close(), p.hints.Close(), p.obj.Sockets.Close(), p.obj.Counts.Close(), p.obj.Globals.Close(), p.obj.Told.Close(),
		unmap(p.counts, p.told))
	return errors.Join(errs...)
}
