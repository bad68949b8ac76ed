package doctor

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// capability is a capability by name and number (include/uapi/linux/capability.h at v6.18).
type capability struct {
	name string
	bit  int
	use  string
}

// needed is the table in the README under "Privileges".
var needed = []capability{
	{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN, "the XSKMAP and attaching XDP"},
	{"CAP_NET_RAW", unix.CAP_NET_RAW, "AF_XDP sockets"},
	{"CAP_BPF", unix.CAP_BPF, "loading the program"},
	{"CAP_PERFMON", unix.CAP_PERFMON, "the verifier's permission for offsets that are not constant"},
}

// effective returns the calling thread's effective capabilities, bit n for capability n.
func effective() uint64 {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return 0
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
}

func (e *exam) capabilities() {
	uidMap, _ := os.ReadFile("/proc/self/uid_map") // absent without user namespaces: then ours is the initial one
	self, err := os.Executable()
	if err != nil {
		self = "bin/xrx"
	}
	e.add(checkCapabilities(effective(), string(uidMap), self))
}

func checkCapabilities(have uint64, uidMap, self string) Check {
	c := Check{ID: "capabilities", Verdict: OK}
	var uses, missing, all []string
	for _, n := range needed {
		uses = append(uses, n.name+" for "+n.use)
		all = append(all, strings.ToLower(n.name))
		if have&(1<<n.bit) != 0 {
			continue
		}
		// CAP_SYS_ADMIN stands in for these two (bpf_capable and perfmon_capable in include/linux/capability.h).
		if (n.bit == unix.CAP_BPF || n.bit == unix.CAP_PERFMON) && have&(1<<unix.CAP_SYS_ADMIN) != 0 {
			continue
		}
		missing = append(missing, n.name)
	}
	c.Why = strings.Join(uses, ", ")
	c.Found = "effective: CAP_NET_ADMIN CAP_NET_RAW CAP_BPF CAP_PERFMON"
	if f := strings.Fields(uidMap); len(missing) == 0 && len(f) == 3 && (f[0] != "0" || f[1] != "0" || f[2] != "4294967295") {
		c.Verdict, c.Found, c.Fix = Fail, "the capabilities are those of a user namespace", "run xrx in the initial user namespace"
		return c
	}
	if missing != nil {
		c.Verdict, c.Found = Fail, "missing: "+strings.Join(missing, " ")
		c.Fix = fmt.Sprintf("sudo setcap %s=ep %s", strings.Join(all, ","), self)
	}
	return c
}
