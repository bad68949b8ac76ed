package vethnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"xrx/internal/netdev"
)

// End is one end of the pair: a namespace and the interface in it.
type End struct {
	*Namespace
	Iface string
	Index int // interface index inside the namespace
	MAC   net.HardwareAddr
	IP4   netip.Addr
	IP6   netip.Addr // invalid when the MTU is too small for IPv6

	peer *End
	nl   *netlink.Handle // bound to the namespace, usable from any thread
	xdp  link.Link       // the passing program of Options.PeerXDP, or nil
	prog *ebpf.Program
}

// Down, Up and SetMTU change the interface; Delete removes the whole pair, both
// ends of it at once.
func (e *End) Down() error { return e.change("down", e.nl.LinkSetDown) }

// Up sets the interface up again, addresses and neighbours included, and waits
// until both ends carry frames, if the other is up too. See Down.
func (e *End) Up() error {
	if err := e.change("up", e.nl.LinkSetUp); err != nil {
		return err
	}
	if err := e.change("address", e.address); err != nil {
		return err
	}
	l, err := e.peer.Link()
	if err != nil {
		return fmt.Errorf("peer of %s: %w", e.Iface, err)
	}
	if l.Attrs().Flags&net.FlagUp == 0 {
		return nil
	}
	return errors.Join(e.waitReady(), e.peer.waitReady())
}

// waitReady waits until the interface carries frames and knows its addresses.
//
// The kernel switches the transmit queues on from a work item some time after
// the peer was set up (net/core/link_watch.c, v6.18), and makes an IPv6 address
// its own from another (net/ipv6/addrconf.c, addrconf_dad_work); what is sent
// before is silently dropped.
func (e *End) waitReady() error {
	const deadline = 15 * time.Second // link_watch delays events by up to 1 s
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		missing, err := e.notReady()
		if err != nil || missing == "" {
			return err
		}
		if time.Since(start) > deadline {
			return fmt.Errorf("%s not ready after %v: %s", e.Iface, deadline, missing)
		}
	}
}

// notReady says what waitReady still has to wait for; empty when nothing.
func (e *End) notReady() (string, error) {
	l, err := e.Link()
	if err != nil {
		return "", fmt.Errorf("look up %s: %w", e.Iface, err)
	}
	if state := l.Attrs().OperState; state != netlink.OperUp {
		return "it is " + state.String(), nil
	}
	if !e.IP6.IsValid() {
		return "", nil
	}
	addrs, err := e.nl.AddrList(l, unix.AF_INET6)
	if err != nil {
		return "", fmt.Errorf("addresses of %s: %w", e.Iface, err)
	}
	for _, a := range addrs {
		if a.Flags&unix.IFA_F_TENTATIVE != 0 {
			return a.IP.String() + " is tentative", nil
		}
	}
	routes, err := e.nl.RouteGet(e.IP6.AsSlice())
	if err != nil || len(routes) == 0 || routes[0].Type != unix.RTN_LOCAL {
		return e.IP6.String() + " has no local route", nil
	}
	return "", nil
}

// Delete removes the interface, and with it its peer.
func (e *End) Delete() error { return e.change("delete", e.nl.LinkDel) }

// SetMTU changes the interface's MTU, bytes without the Ethernet header.
func (e *End) SetMTU(mtu int) error {
	return e.change("set mtu", func(l netlink.Link) error { return e.nl.LinkSetMTU(l, mtu) })
}

func (e *End) change(what string, f func(netlink.Link) error) error {
	l, err := e.nl.LinkByName(e.Iface)
	if err == nil {
		err = f(l)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, e.Iface, explain(err))
	}
	return nil
}

// Stats returns the interface's counters: frames and bytes.
func (e *End) Stats() (netlink.LinkStatistics, error) {
	l, err := e.nl.LinkByName(e.Iface)
	if err != nil {
		return netlink.LinkStatistics{}, fmt.Errorf("statistics of %s: %w", e.Iface, err)
	}
	return *l.Attrs().Statistics, nil
}

// Link returns the interface as netlink shows it now, XDP attachment included.
func (e *End) Link() (netlink.Link, error) { return e.nl.LinkByName(e.Iface) }

// SetOffload switches one of the interface's offloads.
func (e *End) SetOffload(o Offload, on bool) error {
	return e.Do(func() error { return setOffload(e.Iface, o, on) })
}

// Sysctl writes value to /proc/sys/net/<name> of the namespace, for example
// "ipv4/ip_forward".
func (e *End) Sysctl(name, value string) error {
	return e.Do(func() error {
		return os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0)
	})
}

// SysClass writes value to /sys/class/net/<interface>/<name> of the namespace, for example "gro_flush_timeout".
func (e *End) SysClass(name, value string) error {
	return e.Do(func() (err error) {
		s, err := netdev.OpenSysfs(netdev.Info{Name: e.Iface, Index: e.Index}, e.MAC.String())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		return s.Write(e.Iface, name, value)
	})
}

// Command returns a command, not started, and a function that starts it inside
// the namespace. Wait on the command as usual.
func (e *End) Command(ctx context.Context, name string, args ...string) (cmd *exec.Cmd, start func() error) {
	cmd = exec.CommandContext(ctx, name, args...)
	return cmd, func() error { return e.Do(cmd.Start) }
}

// Exec runs a command inside the namespace and returns its combined output.
// The output is part of the error when the command fails.
func (e *End) Exec(ctx context.Context, name string, args ...string) ([]byte, error) {
	var out []byte
	err := e.Do(func() (err error) {
		out, err = exec.CommandContext(ctx, name, args...).CombinedOutput()
		return err
	})
	if err != nil {
		return out, fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return out, nil
}

// close undoes everything of this end. Idempotent.
func (e *End) close() error {
	var errs []error
	errs = append(errs, e.DetachPass())
	if e.nl != nil {
		// Deleting the pair by hand frees it now, even where a stray
		// process or socket keeps the namespace alive.
		if l, err := e.nl.LinkByName(e.Iface); err == nil {
			if err := e.nl.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
				errs = append(errs, err)
			}
		}
		e.nl.Close()
		e.nl = nil
	}
	if e.Namespace != nil {
		errs = append(errs, e.Namespace.Close())
	}
	return errors.Join(errs...)
}

// DefaultRoute sends everything else in the namespace by way of a gateway.
func (e *End) DefaultRoute(gateway netip.Addr) error {
	route := &netlink.Route{LinkIndex: e.Index, Gw: gateway.AsSlice()}
	if err := e.nl.RouteAdd(route); err != nil {
		return fmt.Errorf("add default route by %s: %w", e.Iface, explain(err))
	}
	return nil
}
