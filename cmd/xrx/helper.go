package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/spf13/cobra"

	"xrx"
	"xrx/internal/netdev"
	"xrx/internal/privilege"
	"xrx/privsep"
)

// helperOptions say what a helper gives, and to whom.
type helperOptions struct {
	socket         string
	users          []string
	queues, match  string
	keepManagement bool
	takeAll        bool
	memlock        int
}

func newHelperCmd(e env) *cobra.Command {
	var o helperOptions
	c := &cobra.Command{
		Use:   "helper IFACE...",
		Short: "Give XDP program and sockets to receivers that have no privileges themselves",
		Long: "helper runs with privileges (root, or the capabilities that the README names), so that receivers need none: it loads the\n" +
			"XDP program for them, puts it on the interface, makes the AF_XDP sockets, and passes those over a unix socket to processes\n" +
			"of the users that it is told. When a receiver ends, however it ends, its program goes off the interface.",
		Example: "  sudo xrx helper eth1 --socket /run/xrx/eth1.sock --allow-user alice --match 'udp port 4433' &\n" +
			"  xrx run eth1 --helper /run/xrx/eth1.sock",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("helper wants the interfaces that it may give, like: xrx helper eth1")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			p, err := o.policy(args)
			if err != nil {
				return err
			}
			return help(c.Context(), e, p, o.socket)
		},
	}
	fs := c.Flags()
	fs.StringVar(&o.socket, "socket", "", "where receivers connect to: the path of a unix socket, or @NAME for one without a file")
	fs.StringSliceVar(&o.users, "allow-user", nil, "whose processes are served: a name, or UID:GID (of which the UID counts); may be given again")
	fs.StringVar(&o.queues, "queues", "all", "rx queues that may be had: all, a number N (the first N), or a set like 0,2 or 4-7")
	fs.StringVar(&o.match, "match", "", "what may be taken at most: receivers' own expressions choose among that (default: all)")
	fs.BoolVar(&o.keepManagement, "keep-management", false, "leave ARP, neighbour discovery, ICMP errors, DHCP, SSH and the like to the kernel, whatever a receiver asks for")
	fs.BoolVar(&o.takeAll, "take-all", false, "all traffic may be taken even of the interface that carries the default route or this SSH session")
	fs.IntVar(&o.memlock, "memlock", 0, "MiB that a receiver may lock: its limit is raised to that where it is lower (0: left alone)")
	return c
}

// policy checks what does not depend on the machine, and looks up the users.
func (o *helperOptions) policy(interfaces []string) (p privsep.Policy, err error) {
	p = privsep.Policy{Interfaces: interfaces, KeepsManagement: o.keepManagement, TakeAll: o.takeAll, LockedMemory: uint64(max(0, o.memlock)) << 20}
	switch {
	case o.socket == "":
		return p, usagef("helper wants --socket, where receivers connect to, like --socket /run/xrx/%s.sock", interfaces[0])
	case len(o.users) == 0:
		return p, usagef("helper wants --allow-user: whose processes are served")
	case o.memlock < 0:
		return p, usagef("--memlock %d: can't be negative", o.memlock)
	}
	for _, name := range o.users {
		u, err := privilege.Lookup(name)
		if err != nil {
			return p, usagef("--allow-user: %v", err)
		}
		p.UIDs = append(p.UIDs, u.UID)
	}
	if p.Queues, err = parseQueues(o.queues); err != nil {
		return p, err
	}
	if p.Match, err = (&xrx.Config{Match: o.match, KeepManagement: o.keepManagement}).Expression(); err != nil {
		return p, usagef("--match: %v", err)
	}
	return p, nil
}

func help(ctx context.Context, e env, p privsep.Policy, socket string) error {
	runtime.LockOSThread() // one thread's namespace
	defer runtime.UnlockOSThread()
	for _, name := range p.Interfaces { // one that comes later is fine, one that is misspelt is not
		if _, err := netdev.Get(name); err != nil {
			fmt.Fprintf(e.stderr, "xrx: warning: %v; it is given when it comes\n", err)
		}
	}
	s, err := privsep.NewServer(p)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	s.Log = func(line string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(e.stderr, "xrx:", line)
	}
	l, err := privsep.Listen(socket)
	if err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, "helping at", socket)
	return s.Serve(ctx, l)
}
