package umem

import "xrx/internal/sys"

// Desc is an rx or tx descriptor: struct xdp_desc of include/uapi/linux/if_xdp.h.
type Desc = sys.XDPDesc
