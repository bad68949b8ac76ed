package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// patience bounds the wait for interfaces to appear and to have a carrier: emulated, a NIC negotiates for seconds.
const patience = time.Minute

// loadModules loads every module of a folder, in the order of their names.
func loadModules(folder string) error {
	files, err := filepath.Glob(folder + "/*.ko")
	if err != nil {
		return err
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil {
			return fmt.Errorf("load %s: %w", file, err)
		}
	}
	return nil
}

// linksUp brings lo, eth0 and eth1 up, eth0 with so many queues, and waits until both have a carrier. eth1 gets one:
// what it sends leaves in the order in which it was given.
func linksUp(queues string) error {
	for _, name := range []string{"lo", "eth0", "eth1"} {
		var link netlink.Link
		err := until(func() (err error) { link, err = netlink.LinkByName(name); return err })
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		switch {
		case name == "eth0" && queues != "":
			err = setQueues(name, queues)
		case name == "eth1":
			err = setQueues(name, "1")
		}
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("set %s up: %w", name, err)
		}
	}
	for _, name := range []string{"eth0", "eth1"} {
		if err := until(func() error { return carrier(name) }); err != nil {
			return err
		}
	}
	return nil
}

func carrier(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if state := link.Attrs().OperState; state != netlink.OperUp {
		return fmt.Errorf("%s is %s after %v", name, state, patience)
	}
	return nil
}

// setQueues gives an interface its number of queue pairs. Where that can't be chosen, one queue means: as it is.
func setQueues(name, queues string) error {
	n, err := strconv.ParseUint(queues, 10, 16)
	if err != nil {
		return fmt.Errorf("XRX_ZC_QUEUES: %w", err)
	}
	e, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer e.Close()
	channels, err := e.GetChannels(name)
	switch {
	case err != nil && n == 1:
		return nil
	case err != nil:
		return fmt.Errorf("%s has no queues to set: %w", name, err)
	case channels.CombinedCount == uint32(n):
		return nil
	case channels.MaxCombined < uint32(n):
		return fmt.Errorf("%s has at most %d queues, not %d", name, channels.MaxCombined, n)
	}
	channels.CombinedCount = uint32(n)
	if _, err := e.SetChannels(name, channels); err != nil && n > 1 {
		return fmt.Errorf("give %s %d queues: %w", name, n, err)
	}
	return nil
}

// until asks until there is no error, for as long as patience lasts.
func until(ok func() error) (err error) {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if err = ok(); err == nil || time.Now().After(end) {
			return err
		}
	}
}
