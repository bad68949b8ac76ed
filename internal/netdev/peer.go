package netdev

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Peer is the other end of a veth pair.
type Peer struct {
	Name     string
	Into     string // a command that enters its namespace, like "ip netns exec red"; "" when it is the caller's own
	Index    int
	MTU      int
	TxQueues int
	Offloads map[string]Offload
}

// VethPeer finds the other end of a veth. It may be in another network namespace, which is looked for among those that
// have a name, a process or an open descriptor, and entered by a thread that ends with the call: this needs
// CAP_SYS_ADMIN.
func VethPeer(name string) (*Peer, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	a := l.Attrs()
	if l.Type() != "veth" {
		return nil, fmt.Errorf("%s is no veth", name)
	}
	if a.NetNsID < 0 { // no IFLA_LINK_NETNSID: the same namespace
		return peerHere(a.ParentIndex)
	}
	path, into, err := namespaceByID(a.NetNsID)
	if err != nil {
		return nil, err
	}
	p, err := peerIn(path, a.ParentIndex)
	if err != nil {
		return nil, err
	}
	p.Into = into
	return p, nil
}

// peerIn asks in the namespace of that path.
func peerIn(path string, index int) (p *Peer, err error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if err = unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			err = fmt.Errorf("enter the peer's namespace: %w", err)
			return
		}
		p, err = peerHere(index)
	}()
	<-done
	return p, err
}

func peerHere(index int) (*Peer, error) {
	l, err := netlink.LinkByIndex(index)
	if err != nil {
		return nil, fmt.Errorf("peer with index %d: %w", index, err)
	}
	a := l.Attrs()
	s, err := GetSettings(a.Name)
	if err != nil {
		return nil, err
	}
	p := &Peer{Name: a.Name, Index: a.Index, MTU: a.MTU, TxQueues: a.NumTxQueues, Offloads: s.Offloads}
	if s.Channels.Tx > 0 {
		p.TxQueues = s.Channels.Tx
	}
	return p, nil
}

// namespaceByID finds the network namespace that has this id in the caller's, and the command that enters it. Names
// come first, then processes' namespaces, then descriptors, as container runtimes and tests hold.
func namespaceByID(id int) (path, into string, err error) {
	seen := map[uint64]bool{}
	for _, place := range []struct {
		pattern string
		into    func(path string) string
	}{
		{"/run/netns/*", func(p string) string { return "ip netns exec " + filepath.Base(p) }},
		{"/proc/[0-9]*/ns/net", func(p string) string { return "nsenter --net=" + p }},
		{"/proc/[0-9]*/fd/*", func(p string) string { return "nsenter --net=" + p }},
	} {
		paths, _ := filepath.Glob(place.pattern) // well-formed
		for _, p := range paths {
			if strings.Contains(p, "/fd/") {
				if target, err := os.Readlink(p); err != nil || !strings.HasPrefix(target, "net:[") {
					continue
				}
			}
			var st unix.Stat_t
			if unix.Stat(p, &st) != nil || seen[st.Ino] {
				continue
			}
			seen[st.Ino] = true
			if namespaceID(p) == id {
				return p, place.into(p), nil
			}
		}
	}
	return "", "", fmt.Errorf("its namespace (id %d) could not be found, or not without CAP_SYS_ADMIN", id)
}

// namespaceID returns the id that the caller's namespace has for another, -1 if none.
func namespaceID(path string) int {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	defer unix.Close(fd)
	id, err := netlink.GetNetNsIdByFd(fd)
	if err != nil {
		return -1
	}
	return id
}
