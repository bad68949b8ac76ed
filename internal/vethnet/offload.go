package vethnet

import "golang.org/x/sys/unix"

// Offload is a per-interface feature that the legacy ethtool commands switch
// (include/uapi/linux/ethtool.h, v6.18).
type Offload uint32

// The value of each is its ETHTOOL_S* command.
const (
	TxChecksum Offload = unix.ETHTOOL_STXCSUM
	RxChecksum Offload = unix.ETHTOOL_SRXCSUM
	TSO        Offload = unix.ETHTOOL_STSO
	GSO        Offload = unix.ETHTOOL_SGSO
	GRO        Offload = unix.ETHTOOL_SGRO
)

func (o Offload) String() string {
	switch o {
	case TxChecksum:
		return "tx checksum"
	case RxChecksum:
		return "rx checksum"
	case TSO:
		return "tso"
	case GSO:
		return "gso"
	case GRO:
		return "gro"
	}
	return "unknown offload"
}
