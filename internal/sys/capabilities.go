package sys

import (
	"strings"

	"golang.org/x/sys/unix"
)

// receiving are the capabilities that opening a receiver takes.
var receiving = []struct {
	name string
	bit  uint
}{{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN}, {"CAP_NET_RAW", unix.CAP_NET_RAW}, {"CAP_BPF", unix.CAP_BPF}, {"CAP_PERFMON", unix.CAP_PERFMON}}

// Lacking names the capabilities that opening a receiver takes and that the calling thread has not, as a remark at the end
// of an error: "; this process lacks CAP_PERFMON". "" if it has all.
func Lacking() string {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return ""
	}
	return lacking(uint64(data[1].Effective)<<32 | uint64(data[0].Effective))
}

func lacking(have uint64) string {
	var names []string
	for _, c := range receiving {
		// CAP_SYS_ADMIN stands in for these two (bpf_capable and perfmon_capable in include/linux/capability.h).
		standIn := (c.bit == unix.CAP_BPF || c.bit == unix.CAP_PERFMON) && have&(1<<unix.CAP_SYS_ADMIN) != 0
		if have&(1<<c.bit) == 0 && !standIn {
			names = append(names, c.name)
		}
	}
	if names == nil {
		return ""
	}
	return "; this process lacks " + strings.Join(names, ", ")
}
