package doctor

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

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
