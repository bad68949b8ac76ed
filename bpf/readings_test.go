package bpf_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"xrx/bpf"
	"xrx/internal/testnet"
)

func duplicate(t *testing.T, fd int) int {
	t.Helper()
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	return own
}

// Whoever gets the descriptors may read what the program counts, and change nothing, whatever else he may.
func TestWhatIsSharedIsReadAndNotWritten(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	p := registered(t, bpf.Options{})
	counts, told, err := p.Share()
	must(t, err)
	r, err := bpf.OpenReadings(duplicate(t, counts), duplicate(t, told))
	must(t, err)
	defer r.Close()

	run(t, p.Prog(), ipv4(proto(17), pad(64)))
	there, err := r.Counters()
	must(t, err)
	here, err := p.Counters()
	must(t, err)
	cpus, err := ebpf.PossibleCPU()
	must(t, err)
	if there.Total[bpf.Redirected] != 1 || there.Total != here.Total || len(there.PerCPU) != cpus || !slices.Equal(there.PerCPU, here.PerCPU) {
		t.Errorf("shared %+v, the program's %+v, %d processors", there, here, cpus)
	}

	for _, fd := range []int{counts, told} {
		m, err := ebpf.NewMapFromFD(duplicate(t, fd))
		must(t, err)
		if err := m.Put(uint32(0), make([]byte, m.ValueSize())); !errors.Is(err, unix.EPERM) {
			t.Errorf("%v: written: %v", m, err)
		}
		if mem, err := unix.Mmap(fd, 0, int(m.ValueSize()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); !errors.Is(err, unix.EPERM) {
			t.Errorf("%v: mapped for writing: %v", m, errors.Join(err, unix.Munmap(mem)))
		}
		must(t, m.Close())
	}
	if _, err := bpf.OpenReadings(duplicate(t, told), duplicate(t, told)); err == nil || !strings.Contains(err.Error(), "these are not the program's counters") {
		t.Errorf("another map: %v", err)
	}
}
