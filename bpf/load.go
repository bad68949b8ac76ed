package bpf

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"

	"xrx/internal/sys"
)

// Program load flags, include/uapi/linux/bpf.h at v6.18.
const (
	flagXDPHasFrags     = 1 << 5 // BPF_F_XDP_HAS_FRAGS, since v5.18
	flagXDPDevBoundOnly = 1 << 6 // BPF_F_XDP_DEV_BOUND_ONLY, since v6.3
)

// fragsSince is the first kernel that knows flagXDPHasFrags: 5.18, as LINUX_VERSION_CODE.
const fragsSince = 5<<16 | 18<<8

// Load loads the program into the kernel. It receives nothing until it is attached and a socket is registered.
//
// With HWMeta two programs are loaded over the same maps, the device-bound one and the plain one to fall back to;
// where the device-bound one is refused, Load succeeds with the plain one and Attach tells why in its attempts.
// Errors wrap the errno: EPERM without CAP_BPF and CAP_NET_ADMIN, EACCES without
// CAP_PERFMON (the verifier then forbids offsets into the packet that are not constant), ENOMEM.
func Load(opts Options) (*Program, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	// Kernels before 5.11 charge maps to RLIMIT_MEMLOCK; on later ones this does nothing.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("bpf: lift the locked-memory limit: %w", explainLoad(err))
	}
	spec, err := loadXrx()
	if err != nil {
		return nil, fmt.Errorf("bpf: read the embedded object: %w", err)
	}
	if err := configure(spec, opts); err != nil {
		return nil, err
	}

	p := newProgram(opts, spec)
	if opts.HWMeta {
		var both struct {
			objects
			Hints *ebpf.Program `ebpf:"xrx_rx_hints"`
		}
		err := spec.LoadAndAssign(&both, nil)
		if err == nil {
			p.obj, p.hints = both.objects, both.Hints
			return p.mapped()
		}
		p.hintsRefused = &Attempt{Mode: Native, HWMeta: true, Err: err, Why: whyHintsNotLoaded(err)}
	}
	if err := spec.LoadAndAssign(&p.obj, nil); err != nil {
		return nil, fmt.Errorf("bpf: load: %w", explainLoad(err))
	}
	return p.mapped()
}

// mapped maps what the program writes for us to read; on error the program is unloaded.
func (p *Program) mapped() (_ *Program, err error) {
	if p.counts, err = sys.MapShared(p.obj.Counts.FD(), int(p.obj.Counts.ValueSize())); err == nil {
		p.told, err = sys.MapShared(p.obj.Told.FD(), int(p.obj.Told.ValueSize()))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bpf: map the program's counters into memory (5.5 or later is needed): %w", err), p.Close())
	}
	return p, nil
}

// configure writes the options into the object before the kernel sees it.
func configure(spec *ebpf.CollectionSpec, opts Options) error {
	frags := !opts.NoFrags && kernelHasFrags()
	for name, value := range map[string]any{
		xrxVarSymmetric:  boolByte(opts.Symmetric),
		xrxVarSeed:       opts.Seed,
		xrxVarNoMeta:     boolByte(opts.NoMeta),
		xrxVarHwHash:     boolByte(opts.HWHash),
		xrxVarRefuseMeta: boolByte(opts.RefuseMeta),
		xrxVarFrags:      boolByte(frags),
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("bpf: set %s: %w", name, err)
		}
	}
	spec.Maps[xrxMapXsks].MaxEntries = uint32(opts.MaxQueues)
	if err := sizeCounters(spec); err != nil {
		return err
	}

	if err := spliceMatch(spec, opts.Match); err != nil {
		return err
	}
	hints := spec.Programs[xrxProgXrxRxHints]
	hints.Ifindex = uint32(opts.IfIndex)
	hints.Flags |= flagXDPDevBoundOnly
	if !frags {
		for _, prog := range spec.Programs {
			prog.Flags &^= flagXDPHasFrags
		}
	}
	return nil
}

// kernelHasFrags is also true where the version can't be had: the load then fails and says so.
func kernelHasFrags() bool {
	v, err := features.LinuxVersionCode()
	return err != nil || v >= fragsSince
}

func boolByte(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// explainLoad puts what to try next in front of what went wrong.
func explainLoad(err error) error {
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return fmt.Errorf("not permitted: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON%s: %w", sys.Lacking(), err)
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("this kernel lacks something the program needs (5.9 or later is needed): %w", err)
	case errors.Is(err, syscall.ENOMEM):
		return fmt.Errorf("no memory for the program or its maps: lower MaxQueues or raise the memory limit: %w", err)
	}
	return err
}

// whyHintsNotLoaded explains a device-bound program's refusal; net/core/xdp.c, kernel/bpf/offload.c at v6.18.
func whyHintsNotLoaded(err error) string {
	switch {
	case errors.Is(err, syscall.EOPNOTSUPP):
		return "the driver offers no receive metadata"
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return "not permitted: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON" + sys.Lacking()
	case errors.Is(err, syscall.EINVAL):
		return "the kernel doesn't take device-bound programs (they came with 6.3), or there is no such device"
	}
	return "the device-bound program did not load"
}
