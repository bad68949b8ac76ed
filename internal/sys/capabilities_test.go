package sys

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestLackingNamesWhatIsMissing(t *testing.T) {
	const all = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON
	for have, want := range map[uint64]string{
		all:                            "",
		all &^ (1 << unix.CAP_PERFMON): "; this process lacks CAP_PERFMON",
		all &^ (1 << unix.CAP_NET_RAW): "; this process lacks CAP_NET_RAW",
		1 << unix.CAP_SYS_ADMIN:        "; this process lacks CAP_NET_ADMIN, CAP_NET_RAW",
		0:                              "; this process lacks CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON",
	} {
		if got := lacking(have); got != want {
			t.Errorf("%x: %q, want %q", have, got, want)
		}
	}
}
