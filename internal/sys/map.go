// Package sys is the one place with raw system calls: memory, AF_XDP sockets, poll, eventfd, resource usage.
package sys

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// MapRegion maps size bytes of zeroed, private, anonymous memory, populated now so that the hot path takes no page
// fault. With huge it tries 2 MiB pages first; hugeErr says why they were not given.
func MapRegion(size int, huge bool) (mem []byte, hugeErr, err error) {
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_POPULATE
	if huge {
		const page = 2 << 20
		mem, hugeErr = unix.Mmap(-1, 0, (size+page-1)&^(page-1), prot, flags|unix.MAP_HUGETLB|unix.MAP_HUGE_2MB)
		if hugeErr == nil {
			return mem, nil, nil
		}
		hugeErr = fmt.Errorf("huge pages: %w (reserve some: sysctl -w vm.nr_hugepages=%d)", hugeErr, (size+page-1)/page)
	}
	mem, err = unix.Mmap(-1, 0, size, prot, flags)
	return mem, hugeErr, err
}

// Unmap undoes MapRegion.
func Unmap(mem []byte) error { return unix.Munmap(mem) }

// MapShared maps the first page of what a descriptor stands for, for reading.
func MapShared(fd int) ([]byte, error) {
	return unix.Mmap(fd, 0, unix.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
}
