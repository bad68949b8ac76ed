package netdev

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"xrx/internal/sys"
)

// Device reads and writes the settings of one interface: NAPI, interrupt coalescing, channels, RSS and flow rules. It
// stays in the network namespace of the thread that opened it, from wherever it is called, and follows the interface
// when it is renamed.
type Device struct {
	Index     int
	Namespace uint64 // inode of its network namespace
	Cookie    uint64 // SO_NETNS_COOKIE; 0 before Linux 5.14

	genl  *genl
	fd    int // for ioctls
	sysfs *Sysfs
	noSys error // why there is no sysfs
}

// OpenDevice opens an interface of the calling thread's network namespace.
func OpenDevice(name string) (d *Device, err error) {
	i, err := Get(name)
	if err != nil {
		return nil, err
	}
	l, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", name, err)
	}
	d = &Device{Index: i.Index, fd: -1}
	defer func() {
		if err != nil {
			d.Close()
			d = nil
		}
	}()
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return d, fmt.Errorf("network namespace: %w", err)
	}
	d.Namespace = st.Ino
	d.Cookie, _ = namespaceCookie()
	if d.genl, err = newGenl(); err != nil {
		return d, fmt.Errorf("generic netlink: %w", err)
	}
	if d.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return d, fmt.Errorf("socket for ethtool: %w", err)
	}
	d.sysfs, d.noSys = OpenSysfs(i, l.Attrs().HardwareAddr.String())
	return d, nil
}

// Close closes it.
func (d *Device) Close() error {
	var errs []error
	if d.genl != nil {
		d.genl.close()
	}
	if d.fd >= 0 {
		errs = append(errs, unix.Close(d.fd))
	}
	if d.sysfs != nil {
		errs = append(errs, d.sysfs.Close())
	}
	return errors.Join(errs...)
}

// Name returns the interface's present name; ENODEV if it is gone.
func (d *Device) Name() (string, error) {
	ifr, err := unix.NewIfreq("x")
	if err != nil {
		return "", err
	}
	ifr.SetUint32(uint32(d.Index))
	if err := unix.IoctlIfreq(d.fd, unix.SIOCGIFNAME, ifr); err != nil {
		return "", err
	}
	return ifr.Name(), nil
}

// ethtool carries out an ethtool command on the interface; see sys.Ethtool.
func (d *Device) ethtool(command []byte) error {
	name, err := d.Name()
	if err != nil {
		return err
	}
	return sys.Ethtool(d.fd, name, command)
}

// ReadClass and WriteClass read and write a file of the interface in /sys/class/net.
func (d *Device) ReadClass(file string) (string, error) {
	name, err := d.Name()
	if err != nil {
		return "", err
	}
	if d.sysfs == nil {
		return "", d.noSys
	}
	return d.sysfs.Read(name, file)
}

// WriteClass writes such a file; CAP_NET_ADMIN is needed, and to be its owner, who is root.
func (d *Device) WriteClass(file, value string) error {
	name, err := d.Name()
	if err != nil {
		return err
	}
	if d.sysfs == nil {
		return d.noSys
	}
	return d.sysfs.Write(name, file, value)
}

// Refusal says in words why a driver did not read or write a setting; the errno stays reachable.
func Refusal(setting string, err error) error {
	if err == nil {
		return nil
	}
	var why string
	switch {
	case errors.Is(err, syscall.EOPNOTSUPP):
		why = "the driver has no such setting"
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		why = "it takes root, or CAP_NET_ADMIN"
	case errors.Is(err, syscall.EINVAL):
		why = "the driver does not take this value"
	case errors.Is(err, syscall.EBUSY):
		why = "the driver can't change it while the queues are in use"
	case errors.Is(err, syscall.ENETDOWN):
		why = "the interface must be up (ip link set up)"
	case errors.Is(err, syscall.ENOSPC):
		why = "there is no room for it"
	}
	var errno syscall.Errno
	explained := errors.As(err, &errno) && strings.Contains(err.Error(), errno.Error()+": ") // by the kernel, or by us
	if why == "" || explained {
		return fmt.Errorf("%s: %w", setting, err)
	}
	return fmt.Errorf("%s: %w: %s", setting, err, why)
}
