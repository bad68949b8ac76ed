package vethnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// configure makes the interface silent, gives it no transmit offloads, its
// addresses and its peer as a static neighbour, and sets it up.
func (e *End) configure() error {
	l, err := e.nl.LinkByName(e.Iface)
	if err != nil {
		return fmt.Errorf("look up %s: %w", e.Iface, err)
	}
	if err := e.silence(l); err != nil {
		return err
	}
	for _, o := range []Offload{TxChecksum, TSO, GSO} {
		if err := e.SetOffload(o, false); err != nil {
			return err
		}
	}
	if err := e.nl.LinkSetUp(l); err != nil {
		return fmt.Errorf("set %s up: %w", e.Iface, err)
	}
	return e.address(l)
}

// address gives the interface, which is up, its addresses and neighbours: the
// kernel drops neighbours and IPv6 addresses when an interface goes down.
func (e *End) address(l netlink.Link) error {
	for _, a := range []struct {
		own, peer    netip.Addr
		bits, family int
	}{{e.IP4, e.peer.IP4, 24, unix.AF_INET}, {e.IP6, e.peer.IP6, 64, unix.AF_INET6}} {
		if !a.own.IsValid() {
			continue
		}
		mask := net.CIDRMask(a.bits, a.own.BitLen())
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: a.own.AsSlice(), Mask: mask}}
		if a.own.Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := e.nl.AddrReplace(l, addr); err != nil {
			return fmt.Errorf("add address %s to %s: %w", a.own, e.Iface, err)
		}
		neigh := &netlink.Neigh{
			LinkIndex: l.Attrs().Index, Family: a.family, State: netlink.NUD_PERMANENT,
			IP: a.peer.AsSlice(), HardwareAddr: e.peer.MAC,
		}
		if err := e.nl.NeighSet(neigh); err != nil {
			return fmt.Errorf("add neighbour %s on %s: %w", a.peer, e.Iface, err)
		}
	}
	return nil
}

// silence keeps the kernel from sending frames of its own: IFF_NOARP stops
// ARP, neighbour discovery and the solicited-node group with its listener
// reports (net/ipv6/addrconf.c, addrconf_join_solict, v6.18); the rest are
// router solicitations and the link-local address.
func (e *End) silence(l netlink.Link) error {
	if err := e.nl.LinkSetARPOff(l); err != nil {
		return fmt.Errorf("switch ARP off on %s: %w", e.Iface, err)
	}
	dir := "ipv6/conf/" + e.Iface + "/"
	for _, s := range []struct{ name, value string }{
		{"addr_gen_mode", "1"}, // IN6_ADDR_GEN_MODE_NONE: no link-local address
		{"accept_dad", "0"},
		{"accept_ra", "0"},
		{"router_solicitations", "0"},
	} {
		if !e.IP6.IsValid() {
			break // below 1280 bytes the kernel keeps no IPv6 state here
		}
		if err := e.Sysctl(dir+s.name, s.value); err != nil {
			return fmt.Errorf("sysctl %s: %w", s.name, err)
		}
	}
	return nil
}

// AttachPass attaches a native XDP program that passes every frame on: frames
// redirected out of the peer are then taken (see Options.PeerXDP). The kernel
// switches GRO on with it. It goes with the process: it is held by a bpf_link.
func (e *End) AttachPass() (err error) {
	if e.xdp != nil {
		return fmt.Errorf("%s has its passing program already", e.Iface)
	}
	const xdpPass = 2 // include/uapi/linux/bpf.h, enum xdp_action
	e.prog, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "xrx_peer_pass",
		Type:         ebpf.XDP,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
		License:      "Dual BSD/GPL",
		Flags:        unix.BPF_F_XDP_HAS_FRAGS, // any MTU
	})
	if err != nil {
		return fmt.Errorf("load passing program: %w", explain(err))
	}
	err = e.Do(func() error {
		e.xdp, err = link.AttachXDP(link.XDPOptions{
			Program: e.prog, Interface: e.Index, Flags: link.XDPDriverMode,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("attach passing program to %s: %w", e.Iface, explain(err))
	}
	return nil
}

// DetachPass removes the passing program. Idempotent.
func (e *End) DetachPass() error {
	var errs []error
	if e.xdp != nil {
		errs = append(errs, e.xdp.Close())
		e.xdp = nil
	}
	if e.prog != nil {
		errs = append(errs, e.prog.Close())
		e.prog = nil
	}
	return errors.Join(errs...)
}
