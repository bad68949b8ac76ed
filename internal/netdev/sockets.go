package netdev

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// XDPSocketOwners lists the processes that have an AF_XDP socket in the calling thread's network namespace, as far as
// it may look into them (root, or the user's own).
//
// The kernel lists AF_XDP sockets only with CONFIG_XDP_SOCKETS_DIAG, which few kernels have. But such a socket is of use
// only with its rings mapped, so /proc/PID/maps shows it ("socket:[inode]"); packet sockets are mapped as well, hence a
// duplicate of the descriptor (pidfd_getfd(2), Linux 5.6) is asked for its family, and closed at once.
func XDPSocketOwners() (found []Process) {
	here, ok := namespaceCookie()
	if !ok {
		return nil
	}
	paths, _ := filepath.Glob("/proc/[0-9]*/maps") // the pattern is well-formed
	for _, maps := range paths {
		inodes := mappedSockets(maps)
		if len(inodes) == 0 {
			continue
		}
		p, err := process(filepath.Dir(maps))
		if err == nil && hasXDPSocket(p.PID, inodes, here) && !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found
}

// mappedSockets returns the sockets of which a process has mapped memory, as the links of its descriptors call them.
func mappedSockets(maps string) (links []string) {
	f, err := os.Open(maps)
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if i := strings.Index(lines.Text(), "socket:["); i >= 0 {
			links = append(links, strings.TrimSpace(lines.Text()[i:]))
		}
	}
	return links
}

// hasXDPSocket reports whether one of the process's descriptors is one of these sockets and of family AF_XDP, in the
// namespace with this cookie.
func hasXDPSocket(pid int, links []string, cookie uint64) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(process)
	for _, e := range entries {
		link, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil || !slices.Contains(links, link) {
			continue
		}
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		twin, err := unix.PidfdGetfd(process, fd, 0)
		if err != nil {
			continue
		}
		family, err := unix.GetsockoptInt(twin, unix.SOL_SOCKET, unix.SO_DOMAIN)
		of, cookieErr := unix.GetsockoptUint64(twin, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
		unix.Close(twin)
		if err == nil && family == unix.AF_XDP && cookieErr == nil && of == cookie {
			return true
		}
	}
	return false
}

// namespaceCookie identifies the calling thread's network namespace (SO_NETNS_COOKIE, Linux 5.14).
func namespaceCookie() (uint64, bool) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	return cookie, err == nil
}
