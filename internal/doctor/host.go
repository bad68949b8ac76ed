package doctor

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"xrx/internal/sys"
)

func release() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// atLeast compares a kernel release with a version; one that can't be read is taken for older.
func atLeast(release string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(release, "%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
}

// milestones are what xrx gains by newer kernels, oldest first: the table in the README.
var milestones = []struct {
	major, minor int
	what         string
}{
	{5, 11, "--busy with the driver's help"},
	{5, 18, "native mode above about 3500 bytes of MTU"},
	{6, 3, "--hw-meta"},
	{6, 6, "packets larger than a frame"},
}

func (e *exam) kernel() { e.add(checkKernel(e.report.Kernel)) }

func checkKernel(release string) Check {
	c := Check{"kernel", OK, "Linux " + release, "XDP by bpf_link came with 5.9: a program that goes with its process", ""}
	if !atLeast(release, 5, 9) {
		c.Verdict, c.Found, c.Fix = Fail, c.Found+": older than 5.9", "boot Linux 5.9 or newer"
		return c
	}
	var missing []string
	for _, m := range milestones {
		if !atLeast(release, m.major, m.minor) {
			missing = append(missing, fmt.Sprintf("%s (%d.%d)", m.what, m.major, m.minor))
		}
	}
	if missing != nil {
		c.Verdict, c.Found, c.Why = Warn, c.Found+" has not: "+strings.Join(missing, ", "), "xrx does without"
		c.Fix = "boot Linux 6.6 or newer"
	}
	return c
}

// kernelConfig reads the running kernel's options, nil where they are nowhere to be read.
func kernelConfig(release string) (options map[string]string, path string) {
	for _, path := range []string{"/proc/config.gz", "/boot/config-" + release, "/lib/modules/" + release + "/config"} {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		defer f.Close()
		var r io.Reader = f
		if strings.HasSuffix(path, ".gz") {
			if r, err = gzip.NewReader(f); err != nil {
				continue
			}
		}
		if options := parseConfig(r); len(options) > 0 {
			return options, path
		}
	}
	return nil, ""
}

func parseConfig(r io.Reader) map[string]string {
	options := map[string]string{}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok && strings.HasPrefix(name, "CONFIG_") {
			options[name] = value
		}
	}
	return options
}

func (e *exam) config() {
	fd, err := sys.XSKSocket()
	if err == nil {
		sys.Close(fd)
	}
	options, path := kernelConfig(e.report.Kernel)
	e.add(checkConfig(options, path, err))
}

// checkConfig judges the kernel's options, and by what opening an AF_XDP socket gave where they can't be read.
func checkConfig(options map[string]string, path string, socket error) Check {
	c := Check{"config", OK, "", "without CONFIG_XDP_SOCKETS there is no AF_XDP, without CONFIG_BPF_SYSCALL no XDP program", ""}
	if errors.Is(socket, syscall.EAFNOSUPPORT) {
		c.Verdict, c.Found = Fail, fmt.Sprintf("the kernel refuses AF_XDP sockets: %v", socket)
		c.Fix = "boot a kernel with CONFIG_XDP_SOCKETS=y (grep CONFIG_XDP_SOCKETS /boot/config-*)"
		return c
	}
	if options == nil {
		c.Found = "not readable; AF_XDP sockets can be opened"
		if socket != nil {
			c.Found = fmt.Sprintf("not readable; the kernel knows AF_XDP sockets, though not for us: %v", socket)
		}
		return c
	}
	var missing []string
	for _, name := range []string{"CONFIG_XDP_SOCKETS", "CONFIG_BPF_SYSCALL"} {
		if options[name] != "y" {
			missing = append(missing, name)
		}
	}
	c.Found = "CONFIG_XDP_SOCKETS=y CONFIG_BPF_SYSCALL=y (" + path + ")"
	if missing != nil {
		c.Verdict, c.Found = Fail, path+" has not: "+strings.Join(missing, " ")
		c.Fix = "boot a kernel with " + strings.Join(missing, "=y and ") + "=y"
	}
	return c
}

func (e *exam) jit() {
	options, _ := kernelConfig(e.report.Kernel)
	text, err := os.ReadFile("/proc/sys/net/core/bpf_jit_enable")
	e.add(checkJIT(options, strings.TrimSpace(string(text)), err))
}

func checkJIT(options map[string]string, enabled string, err error) Check {
	c := Check{"jit", OK, "BPF programs are compiled", "an interpreted XDP program costs several times as much per packet", ""}
	const fix = "sysctl -w net.core.bpf_jit_enable=1"
	switch {
	case options["CONFIG_BPF_JIT_ALWAYS_ON"] == "y":
		c.Found += " always (CONFIG_BPF_JIT_ALWAYS_ON)"
	case options != nil && options["CONFIG_BPF_JIT"] != "y":
		c.Verdict, c.Found, c.Fix = Warn, "the kernel has no CONFIG_BPF_JIT", "boot a kernel with CONFIG_BPF_JIT=y"
	case err != nil && options["CONFIG_BPF_JIT_DEFAULT_ON"] == "y":
		c.Found += " by default (CONFIG_BPF_JIT_DEFAULT_ON); bpf_jit_enable is for root to read"
	case err != nil:
		c.Found = fmt.Sprintf("not readable: %v", err)
	case enabled == "0":
		c.Verdict, c.Found, c.Fix = Warn, "net.core.bpf_jit_enable is 0", fix
	case enabled == "2":
		c.Verdict, c.Found, c.Fix = Warn, "net.core.bpf_jit_enable is 2: compiled, and every program written to the log", fix
	}
	return c
}

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

func (e *exam) memlock() {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		e.add(Check{"memlock", Warn, fmt.Sprintf("getrlimit: %v", err), whyMemlock, "ulimit -l"})
		return
	}
	e.add(checkMemlock(limit.Cur, effective()&(1<<unix.CAP_IPC_LOCK) != 0, e.need()))
}

// need is the size in bytes of the UMEMs for all queues.
func (e *exam) need() uint64 {
	return uint64(max(1, e.info.Queues)) * uint64(e.opts.Frames) * uint64(e.opts.Chunk)
}

const whyMemlock = "UMEMs count as locked memory: above the limit XDP_UMEM_REG fails with ENOBUFS"

func checkMemlock(limit uint64, ipcLock bool, need uint64) Check {
	c := Check{ID: "memlock", Verdict: OK, Why: whyMemlock}
	limitText := fmt.Sprintf("limit %d KiB", limit>>10)
	if limit == unix.RLIM_INFINITY {
		limitText = "no limit"
	}
	c.Found = fmt.Sprintf("%s; all queues at default size need %d KiB", limitText, need>>10)
	switch {
	case ipcLock:
		c.Found += "; CAP_IPC_LOCK exempts from it"
	case limit < need:
		c.Verdict = Fail
		c.Fix = fmt.Sprintf("sudo prlimit --pid $$ --memlock=%d:%d", need, need)
	}
	return c
}

func (e *exam) hugePages() {
	free, _ := os.ReadFile("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") // none where unreadable
	thp, _ := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	n, _ := strconv.Atoi(strings.TrimSpace(string(free)))
	e.add(checkHugePages(n, strings.TrimSpace(string(thp)), e.need()))
}

func checkHugePages(free int, thp string, need uint64) Check {
	want := int((need + 2<<20 - 1) / (2 << 20))
	c := Check{"hugepages", OK, "", "with 4 KiB pages a receiver pays for most chunks in the TLB as well", fmt.Sprintf("sysctl -w vm.nr_hugepages=%d", want)}
	chosen := "none"
	if _, rest, ok := strings.Cut(thp, "["); ok {
		chosen, _, _ = strings.Cut(rest, "]")
	}
	c.Found = fmt.Sprintf("%d reserved pages of 2 MiB are free, --huge for all queues takes %d; transparent huge pages: %s", free, want, chosen)
	if free < want && (chosen == "never" || chosen == "none") {
		c.Verdict = Warn
	}
	return c
}
