package xsk_test

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"xrx/internal/sys"
	"xrx/internal/testnet"
	"xrx/umem"
	"xrx/xsk"
)

// errnos are the ways in which the kernel says no to an AF_XDP socket, each provoked for real. docs/ERRORS.md has a line
// for each, with the same words.
var errnos = []struct {
	name    string
	errno   error // nil: no errno, xrx finds out itself
	words   string
	provoke func(t *testing.T, n *testnet.Net) error
}{
	{"a socket without CAP_NET_RAW", syscall.EPERM, "AF_XDP needs root or CAP_NET_RAW, the XDP program CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON",
		func(t *testing.T, n *testnet.Net) error {
			u := memory(t, umem.Config{Frames: 64})
			return without(t, unix.CAP_NET_RAW, func() error { _, err := xsk.Open(config(n, u)); return err })
		}},
	{"a UMEM above the locked-memory limit", syscall.ENOBUFS, "are above the locked-memory limit: raise it (ulimit -l), have CAP_IPC_LOCK, or use fewer frames (--frames)",
		func(t *testing.T, n *testnet.Net) error {
			u := memory(t, umem.Config{Frames: 4096})
			var before unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &before); err != nil {
				t.Fatal(err)
			}
			limit := before
			limit.Cur = 1 << 20
			if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
				t.Fatal(err)
			}
			defer unix.Setrlimit(unix.RLIMIT_MEMLOCK, &before)
			return without(t, unix.CAP_IPC_LOCK, func() error { _, err := xsk.Open(config(n, u)); return err })
		}},
	{"chunks larger than a page", syscall.EINVAL, "this kernel takes no chunks of 8192 bytes with headroom 192 (chunks: 2048 up to the page size, in huge pages too, and a power of two where they are aligned; headroom up to chunk-256,",
		func(t *testing.T, n *testnet.Net) error {
			_, err := xsk.Open(config(n, memory(t, umem.Config{Frames: 8, ChunkSize: 8192, Unaligned: true})))
			return err
		}},
	{"headroom without room for packets", syscall.EINVAL, "this kernel takes no chunks of 2048 bytes with headroom 1728",
		func(t *testing.T, n *testnet.Net) error {
			s, err := xsk.Open(config(n, memory(t, umem.Config{Frames: 64, Headroom: 1728})))
			if err == nil {
				s.Close()
				t.Skip("this kernel keeps no room for skb_shared_info")
			}
			return err
		}},
	{"a ring of three descriptors", syscall.EINVAL, "rings have a power of two of descriptors",
		func(t *testing.T, n *testnet.Net) error {
			s := open(t, n, config(n, memory(t, umem.Config{Frames: 64})))
			return s.Failed("XDP_RX_RING", sys.XSKRing(s.FD(), sys.OptRxRing, 3))
		}},
	{"a ring made after bind", syscall.EBUSY, "the socket is bound, and rings are made and mapped before that",
		func(t *testing.T, n *testnet.Net) error { return bound(t, n).MapRings() }},
	{"a queue that the interface has not", syscall.EINVAL, "queue 1 is not below the interface's real number of rx queues (ethtool -l b0), or flags conflict",
		func(t *testing.T, n *testnet.Net) error {
			c := config(n, memory(t, umem.Config{Frames: 64}))
			c.Queue = 1
			return bind(open(t, n, c), xsk.Copy)
		}},
	{"flags that contradict each other", syscall.EINVAL, "or flags conflict",
		func(t *testing.T, n *testnet.Net) error {
			return open(t, n, config(n, memory(t, umem.Config{Frames: 64}))).BindOnce(sys.XDPCopy|sys.XDPZeroCopy, 0)
		}},
	{"a flag that the kernel does not know, as XDP_USE_SG before 6.6", syscall.EINVAL, "or this kernel has no packets over several frames (XDP_USE_SG, Linux 6.6): --sg off",
		func(t *testing.T, n *testnet.Net) error {
			c := config(n, memory(t, umem.Config{Frames: 64}))
			c.SG = true
			return open(t, n, c).BindOnce(1<<15, 0)
		}},
	{"sharing the UMEM of a socket that is not bound", syscall.EBADF, "the socket whose UMEM is to be shared is not bound",
		func(t *testing.T, n *testnet.Net) error {
			c := config(n, memory(t, umem.Config{Frames: 64}))
			c.Share = open(t, n, c)
			return bind(open(t, n, c), xsk.Copy)
		}},
	{"sharing a UMEM without rings", syscall.EINVAL, "",
		func(t *testing.T, n *testnet.Net) error {
			first := bound(t, n)
			fd, err := sys.XSKSocket()
			if err != nil {
				t.Fatal(err)
			}
			defer sys.Close(fd)
			return sys.XSKBind(fd, n.B.Index, 0, sys.XDPSharedUmem, first.FD())
		}},
	{"a queue that somebody has", syscall.EBUSY, "another AF_XDP socket has this queue, also after 2s of waiting: stop it, or choose other queues (--queues)",
		func(t *testing.T, n *testnet.Net) error {
			bound(t, n)
			return open(t, n, config(n, memory(t, umem.Config{Frames: 64}))).BindOnce(sys.XDPCopy, 0)
		}},
	{"zero-copy where the driver has none", syscall.EOPNOTSUPP, "the driver has no AF_XDP zero-copy for this queue; --bind copy works with every driver",
		func(t *testing.T, n *testnet.Net) error {
			return bind(open(t, n, config(n, memory(t, umem.Config{Frames: 64}))), xsk.ZeroCopy)
		}},
	{"zero-copy with multi-buffer packets where the driver has not both", syscall.EOPNOTSUPP, "the driver has no zero-copy, or none with multi-buffer packets (XDP_USE_SG): --sg off, or --bind copy, which works with every driver",
		func(t *testing.T, n *testnet.Net) error {
			c := config(n, memory(t, umem.Config{Frames: 64}))
			c.SG = true
			return bind(open(t, n, c), xsk.ZeroCopy)
		}},
	{"zero-copy that was promised and not given", nil, "bound with XDP_ZEROCOPY, but XDP_OPTIONS says copy (a bond or a broken driver): use --bind copy",
		func(t *testing.T, n *testnet.Net) error { return bound(t, n).ReadMode(xsk.ZeroCopy) }},
	{"an interface that is gone", syscall.ENODEV, "the interface is gone",
		func(t *testing.T, n *testnet.Net) error {
			s := open(t, n, config(n, memory(t, umem.Config{Frames: 64})))
			if err := n.B.Delete(); err != nil {
				t.Fatal(err)
			}
			return bind(s, xsk.Copy)
		}},
}

// bound is a socket that has queue 0 of b0.
func bound(t *testing.T, n *testnet.Net) *xsk.Socket {
	t.Helper()
	s := open(t, n, config(n, memory(t, umem.Config{Frames: 64})))
	if err := bind(s, xsk.Copy); err != nil {
		t.Fatal(err)
	}
	return s
}

func bind(s *xsk.Socket, m xsk.Mode) error {
	_, err := s.Bind(m, true)
	return err
}

// without runs f on a thread that lacks a capability and ends with it.
func without(t *testing.T, capability int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread goes with the goroutine
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&hdr, &data[0]); err != nil {
			done <- err
			return
		}
		data[capability/32].Effective &^= 1 << (capability % 32)
		if err := unix.Capset(&hdr, &data[0]); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

func TestEachErrnoIsProvokedAndExplained(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	doc, err := os.ReadFile("../docs/ERRORS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range errnos {
		t.Run(c.name, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{})
			err := c.provoke(t, n)
			if err == nil {
				t.Fatal("the kernel took it")
			}
			if c.errno != nil && !errors.Is(err, c.errno) {
				t.Errorf("%v, want %v", err, c.errno)
			}
			if !strings.Contains(err.Error(), c.words) {
				t.Errorf("%q\ndoes not say\n%q", err, c.words)
			}
		})
		if !strings.Contains(string(doc), "| "+c.name+" |") || !strings.Contains(string(doc), c.words) {
			t.Errorf("docs/ERRORS.md has no line for %q, or other words than %q", c.name, c.words)
		}
	}
}
