// Package sys is the one place with raw system calls: memory, AF_XDP sockets, poll, eventfd, resource usage.
package sys

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const hugePage = 2 << 20

// MapRegion maps size bytes of zeroed, private, anonymous memory, populated now so that the hot path takes no page
// fault. With huge it tries reserved 2 MiB pages first (MAP_HUGETLB); hugeErr says why they were not given. Otherwise it
// asks for transparent huge pages, which the kernel may or may not give: a receiver touches a cache line in every
// chunk, and with 4 KiB pages pays for most of them in the TLB as well (docs/adr/0004).
func MapRegion(size int, huge bool) (mem []byte, hugeErr, err error) {
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	if huge {
		mem, hugeErr = unix.Mmap(-1, 0, (size+hugePage-1)&^(hugePage-1), prot, flags|unix.MAP_POPULATE|unix.MAP_HUGETLB|unix.MAP_HUGE_2MB)
		if hugeErr == nil {
			return mem, nil, nil
		}
		hugeErr = fmt.Errorf("huge pages: %w (reserve some: sysctl -w vm.nr_hugepages=%d)", hugeErr, (size+hugePage-1)/hugePage)
	}
	// The kernel aligns a large anonymous mapping to 2 MiB by itself since 6.7 (mm/huge_memory.c,
	// thp_get_unmapped_area); only a size of whole huge pages is sure to be.
	if size >= hugePage {
		size = (size + hugePage - 1) &^ (hugePage - 1)
	}
	if mem, err = unix.Mmap(-1, 0, size, prot, flags); err != nil {
		return nil, hugeErr, err
	}
	unix.Madvise(mem, unix.MADV_HUGEPAGE) // refused where the kernel has none: normal pages then
	switch err = unix.Madvise(mem, unix.MADV_POPULATE_WRITE); {
	case err == nil:
	case errors.Is(err, unix.EINVAL): // before 5.14: touch the pages instead
		for i := 0; i < len(mem); i += 4096 {
			mem[i] = 0
		}
	default:
		return nil, hugeErr, errors.Join(err, unix.Munmap(mem))
	}
	return mem, hugeErr, nil
}

// Unmap undoes MapRegion and MapShared.
func Unmap(mem []byte) error { return unix.Munmap(mem) }

// MapShared maps the first size bytes of what a descriptor stands for, for reading.
func MapShared(fd, size int) ([]byte, error) {
	return unix.Mmap(fd, 0, size, unix.PROT_READ, unix.MAP_SHARED)
}
