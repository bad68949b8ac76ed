package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
)

// LoadPass loads a program that passes every packet to the kernel, for the other end of a veth: frames redirected into a
// veth arrive only where the receiving side has native XDP or GRO (veth_xdp_xmit in drivers/net/veth.c at v6.18). The
// caller attaches it (link.AttachXDP, or netlink with its FD) and closes it.
func LoadPass() (*ebpf.Program, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("bpf: lift the locked-memory limit: %w", explainLoad(err))
	}
	var objs xrxPassObjects
	spec, err := loadXrxPass()
	if err != nil {
		return nil, fmt.Errorf("bpf: read the embedded object: %w", err)
	}
	if !kernelHasFrags() {
		spec.Programs[xrxPassProgXrxPass].Flags &^= flagXDPHasFrags
	}
	if err := spec.LoadAndAssign(&objs, nil); err != nil {
		return nil, fmt.Errorf("bpf: load the passing program: %w", explainLoad(err))
	}
	return objs.XrxPass, nil
}
