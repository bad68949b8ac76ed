package doctor

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
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
