package xrx_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"xrx"
	"xrx/bpf"
	"xrx/internal/testnet"
	"xrx/xsk"
)

// The cells that the matrix can't have: each ends Open with a sentence that says why and what to do, and leaves nothing.
func TestWhatCannotBeHadIsRefusedInWords(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{Queues: 2})
	fewer := testnet.New(t, testnet.Options{Queues: 1, QueuesA: 4})
	for _, c := range []struct {
		name string
		n    *testnet.Net
		cfg  xrx.Config
		want string
	}{
		{"native, zero-copy", n, xrx.Config{Attach: bpf.Native, Bind: xsk.ZeroCopy},
			"xrx: xsk: bind b0 queue 0 (zerocopy): operation not supported: the driver has no AF_XDP zero-copy for this queue; --bind copy works with every driver"},
		{"native, zero-copy, SG on", n, xrx.Config{Attach: bpf.Native, Bind: xsk.ZeroCopy, MultiBuffer: xrx.MultiBufferOn},
			"xrx: xsk: bind b0 queue 0 (zerocopy): operation not supported: the driver has no zero-copy, or none with multi-buffer packets (XDP_USE_SG): --sg off, or --bind copy, which works with every driver"},
		{"native, zero-copy, shared UMEM", n, xrx.Config{Attach: bpf.Native, Bind: xsk.ZeroCopy, SharedUmem: true},
			"xrx: xsk: bind b0 queue 0 (zerocopy): operation not supported: the driver has no AF_XDP zero-copy for this queue; --bind copy works with every driver"},
		{"skb, zero-copy", n, xrx.Config{Attach: bpf.Generic, Bind: xsk.ZeroCopy},
			"xrx: zero-copy needs the XDP program in native mode: generic mode accepts the bind and then loses packets"},
		{"native, fewer rx queues than the peer has tx queues", fewer, xrx.Config{Attach: bpf.Native},
			"too few rx queues: on veth give it as many as its peer has tx queues (ethtool -L)"},
		{"aligned 3000", n, xrx.Config{ChunkSize: 3000},
			"xrx: umem: chunk size 3000: aligned chunks are 2048 or 4096 bytes (a power of two, at most a page); other sizes need Unaligned (--unaligned)"},
		{"aligned 8192", n, xrx.Config{ChunkSize: 8192},
			"xrx: umem: chunk size 8192: aligned chunks are 2048 or 4096 bytes (a power of two, at most a page); other sizes need Unaligned (--unaligned)"},
		{"unaligned 1000", n, xrx.Config{ChunkSize: 1000, Unaligned: true}, "xrx: umem: chunk size 1000: unaligned chunks are 2048"},
		{"unaligned 5000, more than a page", n, xrx.Config{ChunkSize: 5000, Unaligned: true},
			"xrx: queue 0: xsk: XDP_UMEM_REG: invalid argument: this kernel takes no chunks of 5000 bytes with headroom 192"},
		{"unaligned 12288, in huge pages or not", n, xrx.Config{ChunkSize: 12288, Unaligned: true, HugePages: true},
			"this kernel takes no chunks of 12288 bytes with headroom 192 (chunks: 2048 up to the page size, in huge pages too,"},
		{"no room for packets", n, xrx.Config{Headroom: 1792}, "xrx: umem: headroom 1792 leaves no room for packets in chunks of 2048 bytes (256 go to XDP)"},
		{"headroom of no cache line", n, xrx.Config{Headroom: 100}, "xrx: umem: headroom 100: want a multiple of 64, at least 128 for the hidden header"},
		{"a queue too many", n, xrx.Config{Queues: []int{2}}, "xrx: b0 has rx queues 0 to 1, not 2 (ethtool -l b0)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			testnet.NoLeaks(t)
			c.n.InB(func() {
				r, err := xrx.Open(c.n.B.Iface, &c.cfg)
				if err == nil {
					r.Close()
					t.Fatalf("opened: %v", r.Mode())
				}
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("%q\ndoes not say\n%q", err, c.want)
				}
			})
		})
	}
}

func TestNormalPagesInsteadOfHugeOnesAreNamedForEveryQueueThatHasThem(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	if b, err := os.ReadFile("/proc/sys/vm/nr_overcommit_hugepages"); err != nil || strings.TrimSpace(string(b)) != "0" {
		t.Skipf("huge pages come without being reserved here: %s %v", b, err)
	}
	for _, c := range []struct {
		pages  int // of 2 MiB, free: one for each 1024 frames of 2048 bytes
		shared bool
		want   string // the queues named; "" none
	}{{0, false, "queue 0, 1: normal pages"}, {1, false, "queue 1: normal pages"}, {2, false, ""}, {0, true, "queue 0, 1: normal pages"}} {
		t.Run(fmt.Sprintf("%d pages, shared %v", c.pages, c.shared), func(t *testing.T) {
			if !freeHugePages(t, c.pages) {
				t.Skipf("can't have just %d huge pages free here", c.pages)
			}
			n := testnet.New(t, testnet.Options{Queues: 2})
			r := open(t, n, &xrx.Config{Frames: 1024, HugePages: true, SharedUmem: c.shared})
			notes := r.Mode().Notes
			said := slices.IndexFunc(notes, func(s string) bool { return strings.Contains(s, "normal pages") })
			switch {
			case c.want == "" && said >= 0:
				t.Errorf("both are in huge pages, yet: %q", notes)
			case c.want == "":
			case said < 0 || !strings.HasPrefix(notes[said], c.want+" instead of reserved huge ones: huge pages: cannot allocate memory (reserve some: sysctl -w vm.nr_hugepages=") || !strings.Contains(notes[said], "; transparent huge pages are "):
				t.Errorf("notes %q don't say %q", notes, c.want)
			}
		})
	}
}
