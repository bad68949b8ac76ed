package bpf

import (
	"errors"
	"syscall"

	"github.com/cilium/ebpf"

	"xrx/internal/sys"
)

// enotsupp is the kernel's internal ENOTSUPP, which some drivers let out: include/linux/errno.h at v6.18.
const enotsupp = syscall.Errno(524)

// isBusy: EBUSY for a link where any program is, EEXIST where one is in another mode (dev_xdp_attach in
// net/core/dev.c at v6.18).
func isBusy(err error) bool {
	return errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EEXIST)
}

// whyNotAttached says in words what an errno of BPF_LINK_CREATE for XDP means and what to try. The kernel's own words
// go to a tracepoint only (bpf_xdp_link_attach_failed). Meanings: dev_xdp_attach and bpf_xdp_link_attach in net/core/dev.c,
// veth_xdp_set in drivers/net/veth.c, at v6.18.
func whyNotAttached(err error, mode Mode, hwMeta bool) string {
	switch {
	case errors.Is(err, ebpf.ErrNotSupported):
		return "this kernel can't attach XDP by bpf_link: 5.9 or later is needed"
	case errors.Is(err, syscall.EPERM):
		return "not permitted: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON" + sys.Lacking()
	case errors.Is(err, syscall.ENODEV):
		return "no such interface in this network namespace"
	case errors.Is(err, syscall.ERANGE):
		return "the MTU is too large for this program: lower it (on veth the peer's, to 3506 or less), or load with multi-buffer support"
	case errors.Is(err, syscall.ENOSPC):
		return "too few rx queues: on veth give it as many as its peer has tx queues (ethtool -L), on virtio one tx queue per CPU more"
	case errors.Is(err, syscall.EINVAL) && hwMeta:
		return "the program is bound to another device, or the driver takes no device-bound program"
	case (errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, enotsupp)) && mode == Native:
		return "the driver has no native XDP, or not with its present settings (MTU, LRO, header split): try generic mode"
	case errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, enotsupp):
		return "the interface takes no XDP program at all"
	case errors.Is(err, syscall.EINVAL) && mode == Native:
		return "the driver refuses the program with the interface's present settings (MTU, LRO, queues): dmesg may tell, or try generic mode"
	case errors.Is(err, syscall.EINVAL):
		return "the kernel refuses this mode here"
	case errors.Is(err, syscall.ENOMEM):
		return "no memory for the queues XDP needs: fewer or smaller rings (ethtool -L, -G)"
	case isBusy(err):
		return "another program was there a moment ago: try again"
	}
	return "the kernel refused it"
}
