package netdev

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Sysfs reads and writes /sys/class/net of the calling thread's network namespace.
//
// /sys shows the namespace in which it was mounted (fs/sysfs/mount.c), which need not be the caller's. So a sysfs of
// our own is made where that is allowed (CAP_SYS_ADMIN, Linux 5.2): it hangs in no directory tree and is gone with its
// descriptor. Elsewhere /sys is believed if it shows an interface of the same name, index and address.
type Sysfs struct {
	fd int // of the root of a sysfs
}

// OpenSysfs opens a sysfs that shows interface i.
func OpenSysfs(i Info, address string) (*Sysfs, error) {
	s := &Sysfs{fd: -1}
	var err error
	if s.fd, err = mountSysfs(); err == nil {
		return s, nil
	}
	if s.fd, err = unix.Open("/sys", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open /sys: %w", err)
	}
	index, err := s.Read(i.Name, "ifindex")
	if err == nil && index == fmt.Sprint(i.Index) {
		if mac, err := s.Read(i.Name, "address"); err == nil && mac == address {
			return s, nil
		}
	}
	s.Close()
	return nil, errors.New("/sys is of another network namespace")
}

func mountSysfs() (fd int, err error) {
	fs, err := unix.Fsopen("sysfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
}

// Read returns what one file of an interface says, without the newline: Read("eth1", "gro_flush_timeout").
func (s *Sysfs) Read(iface, file string) (string, error) {
	path := "class/net/" + iface + "/" + file
	fd, err := unix.Openat(s.fd, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("/sys/%s: %w", path, err)
	}
	defer unix.Close(fd)
	buf := make([]byte, os.Getpagesize()) // an attribute is never longer
	n, err := unix.Read(fd, buf)
	if err != nil {
		return "", fmt.Errorf("/sys/%s: %w", path, err)
	}
	return strings.TrimSuffix(string(buf[:n]), "\n"), nil
}

// Write writes one file of an interface.
func (s *Sysfs) Write(iface, file, value string) error {
	path := "class/net/" + iface + "/" + file
	fd, err := unix.Openat(s.fd, path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/sys/%s: %w", path, err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(value)); err != nil {
		return fmt.Errorf("write %s to /sys/%s: %w", value, path, err)
	}
	return nil
}

// List returns the names in one directory of an interface: List("eth1", "queues"); "" is the interface's own.
func (s *Sysfs) List(iface, dir string) ([]string, error) {
	path := "class/net/" + iface + "/" + dir
	fd, err := unix.Openat(s.fd, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/sys/%s: %w", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	return f.Readdirnames(-1)
}

// Close closes it.
func (s *Sysfs) Close() error { return unix.Close(s.fd) }
