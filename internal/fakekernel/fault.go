package fakekernel

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"xrx/internal/sys"
	"xrx/umem"
)

// Fault is a descriptor that no correct kernel produces.
type Fault uint8

const (
	Duplicate    Fault = iota // the last descriptor once more
	Foreign                   // an address that is nowhere near the UMEM
	Beyond                    // the first chunk after the last one
	WrongLength               // a posted chunk, with a length that runs out of it
	InHeader                  // a posted chunk, with an offset inside the hidden header
	NeverPosted               // a chunk that was never given to the kernel, or was given back
	SmashedMagic              // a posted chunk whose hidden header the kernel wrote over
	NumFaults
)

var faultNames = [NumFaults]string{"duplicate", "foreign", "beyond", "wrong length", "in header", "never posted", "smashed magic"}

func (f Fault) String() string { return faultNames[f] }

// Want returns what umem must call the fault.
func (f Fault) Want() umem.Fault {
	return [NumFaults]umem.Fault{umem.NotFilling, umem.BadAddress, umem.BadAddress, umem.BadLength, umem.BadLength, umem.NotFilling, umem.BadMagic}[f]
}

// Spends reports whether the fault uses up a posted chunk: its frame stays with the kernel for ever.
func (f Fault) Spends() bool { return f == WrongLength || f == InHeader || f == SmashedMagic }

// Inject puts a wrong descriptor on the rx ring; Flush publishes it. A duplicate, or a chunk never posted, is only a
// fault until the receiver posts that chunk (again): have it consumed before the next refill. Inject returns an error if the kernel is in no
// position to: nothing to repeat, no chunk posted, none left unposted, rx ring full.
func (k *Kernel) Inject(f Fault) error {
	if k.rx.Free() == 0 {
		return fmt.Errorf("inject %v: the rx ring is full", f)
	}
	d, err := k.wrong(f)
	if err != nil {
		return fmt.Errorf("inject %v: %w", f, err)
	}
	last := k.last
	k.Produce(d)
	if f != Duplicate {
		k.last = last // a duplicate is always one of a good descriptor
	}
	return nil
}

func (k *Kernel) wrong(f Fault) (d sys.XDPDesc, err error) {
	c := k.mem.Config()
	d.Len = 60
	switch f {
	case Duplicate:
		if k.last == (sys.XDPDesc{}) {
			return d, fmt.Errorf("nothing was received yet")
		}
		return k.last, nil
	case Foreign:
		d.Addr = k.handle(1 << 40)
		return d, nil
	case Beyond:
		d.Addr = k.handle(uint64(c.Frames) * k.stride())
		return d, nil
	case NeverPosted:
		for i := range uint64(c.Frames) {
			if base := i * k.stride(); k.owned[base] == 0 && !k.onRing(base) {
				d.Addr = k.handle(base)
				return d, nil
			}
		}
		return d, fmt.Errorf("every chunk is posted")
	}
	base, ok := k.alloc()
	if !ok {
		return d, fmt.Errorf("no chunk is posted")
	}
	k.disown(base)
	d.Addr = k.handle(base)
	switch f {
	case WrongLength:
		d.Len = uint32(k.FrameSize()) + 1
	case InHeader:
		d.Addr = base + 64
		if c.Unaligned {
			d.Addr = base | 64<<48
		}
	case SmashedMagic:
		b := k.region[base : base+8]
		binary.NativeEndian.PutUint64(b, ^binary.NativeEndian.Uint64(b))
	}
	return d, nil
}

// onRing reports whether base is an address that waits on the fill ring.
func (k *Kernel) onRing(base uint64) bool {
	end, mask := atomic.LoadUint32(k.Fill.Producer), uint32(len(k.Fill.Descs)-1)
	for i := end - uint32(k.fill.Level()); i != end; i++ {
		if addr := k.Fill.Descs[i&mask]; addr-addr%k.stride() == base {
			return true
		}
	}
	return false
}
