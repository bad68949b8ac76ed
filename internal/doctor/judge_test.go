package doctor

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xrx/internal/netdev"
	"xrx/xsk"
)

const allFour = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON

// Each row is something that was found out, and what is to be said of it.
func TestWhatWasFoundIsJudged(t *testing.T) {
	eth := netdev.Info{Name: "eth1", Kind: "device", Driver: "ice", Queues: 4, MTU: 1500}
	mtu := func(n int) netdev.Info { i := eth; i.MTU = n; return i }
	driver := func(d string) netdev.Info { i := eth; i.Driver = d; return i }
	rss := func(queues ...int) netdev.Settings { return netdev.Settings{RSS: queues} }
	on, fixed := netdev.Offload{On: true}, netdev.Offload{On: true, Fixed: true}
	offloads := func(o netdev.Offload, names ...string) map[string]netdev.Offload {
		m := map[string]netdev.Offload{"tx-checksum-ip-generic": on, "rx-gro": on}
		for _, n := range names {
			m[n] = o
		}
		return m
	}
	native := netdev.Support{XDP: netdev.ActBasic | netdev.ActRedirect | netdev.ActZeroCopy | netdev.ActRxSG, ZCSegs: 18}
	noSG := netdev.Support{XDP: netdev.ActBasic | netdev.ActRedirect | netdev.ActZeroCopy}
	refusal := func(step string, e syscall.Errno) error { return &xsk.Error{Step: step, Err: e, Why: "for a reason"} }
	options := map[string]string{"CONFIG_XDP_SOCKETS": "y", "CONFIG_BPF_SYSCALL": "y", "CONFIG_BPF_JIT": "y"}
	without := func(name string) map[string]string {
		m := map[string]string{"CONFIG_BPF_SYSCALL": "y"}
		if name != "CONFIG_XDP_SOCKETS" {
			m = map[string]string{"CONFIG_XDP_SOCKETS": "y", "CONFIG_BPF_SYSCALL": "m"}
		}
		return m
	}
	for _, c := range []struct {
		name  string
		got   Check
		want  Verdict
		found string // contained
		fix   string // exactly; of a part when it begins with ...
	}{
		{"a recent kernel", checkKernel("6.18.44-vm"), OK, "Linux 6.18.44-vm", ""},
		{"the first with everything", checkKernel("6.6.0"), OK, "Linux 6.6.0", ""},
		{"a kernel in between", checkKernel("6.1.0-30-amd64"), Warn, "has not: --hw-meta (6.3), packets larger than a frame (6.6)", "boot Linux 6.6 or newer"},
		{"the oldest that will do", checkKernel("5.9.0"), Warn, "--busy with the driver's help (5.11)", "boot Linux 6.6 or newer"},
		{"a kernel without bpf_link for XDP", checkKernel("5.8.18"), Fail, "older than 5.9", "boot Linux 5.9 or newer"},
		{"a release that can't be read", checkKernel("unknown"), Fail, "unknown", "boot Linux 5.9 or newer"},

		{"a configuration with all", checkConfig(options, "/proc/config.gz", nil), OK, "/proc/config.gz", ""},
		{"none that is readable, sockets work", checkConfig(nil, "", nil), OK, "can be opened", ""},
		{"none that is readable, sockets forbidden", checkConfig(nil, "", syscall.EPERM), OK, "though not for us", ""},
		{"sockets forbidden", checkConfig(options, "/proc/config.gz", syscall.EPERM), OK, "CONFIG_XDP_SOCKETS=y", ""},
		{"a kernel without AF_XDP", checkConfig(nil, "", syscall.EAFNOSUPPORT), Fail, "refuses AF_XDP sockets", "...CONFIG_XDP_SOCKETS=y"},
		{"the option is not set", checkConfig(without("CONFIG_XDP_SOCKETS"), "/boot/config", nil), Fail, "CONFIG_XDP_SOCKETS", "boot a kernel with CONFIG_XDP_SOCKETS=y"},
		{"no bpf(2)", checkConfig(without("CONFIG_BPF_SYSCALL"), "/boot/config", nil), Fail, "CONFIG_BPF_SYSCALL", "boot a kernel with CONFIG_BPF_SYSCALL=y"},

		{"the JIT is on", checkJIT(options, "1", nil), OK, "compiled", ""},
		{"the JIT can't be off", checkJIT(map[string]string{"CONFIG_BPF_JIT_ALWAYS_ON": "y"}, "", syscall.EACCES), OK, "always", ""},
		{"the JIT is on unless root changed it", checkJIT(map[string]string{"CONFIG_BPF_JIT": "y", "CONFIG_BPF_JIT_DEFAULT_ON": "y"}, "", syscall.EACCES), OK, "by default", ""},
		{"nobody says", checkJIT(nil, "", syscall.EACCES), OK, "not readable", ""},
		{"the JIT is off", checkJIT(options, "0", nil), Warn, "is 0", "sysctl -w net.core.bpf_jit_enable=1"},
		{"the JIT is for debugging", checkJIT(nil, "2", nil), Warn, "is 2", "sysctl -w net.core.bpf_jit_enable=1"},
		{"no JIT", checkJIT(map[string]string{"CONFIG_BPF_SYSCALL": "y"}, "", syscall.ENOENT), Warn, "no CONFIG_BPF_JIT", "boot a kernel with CONFIG_BPF_JIT=y"},

		{"root", checkCapabilities(^uint64(0), "0 0 4294967295\n", "xrx"), OK, "CAP_PERFMON", ""},
		{"the four", checkCapabilities(allFour, "", "xrx"), OK, "CAP_NET_RAW", ""},
		{"CAP_SYS_ADMIN for two of them", checkCapabilities(1<<unix.CAP_NET_ADMIN|1<<unix.CAP_NET_RAW|1<<unix.CAP_SYS_ADMIN, "", "xrx"), OK, "effective", ""},
		{"CAP_SYS_ADMIN alone", checkCapabilities(1<<unix.CAP_SYS_ADMIN, "", "xrx"), Fail, "missing: CAP_NET_ADMIN CAP_NET_RAW", "sudo setcap cap_net_admin,cap_net_raw,cap_bpf,cap_perfmon=ep xrx"},
		{"one is missing", checkCapabilities(allFour&^(1<<unix.CAP_PERFMON), "", "/a/xrx"), Fail, "missing: CAP_PERFMON", "sudo setcap cap_net_admin,cap_net_raw,cap_bpf,cap_perfmon=ep /a/xrx"},
		{"none", checkCapabilities(0, "", "xrx"), Fail, "missing: CAP_NET_ADMIN CAP_NET_RAW CAP_BPF CAP_PERFMON", "...setcap"},
		{"root of a container", checkCapabilities(^uint64(0), "         0     100000      65536\n", "xrx"), Fail, "user namespace", "run xrx in the initial user namespace"},

		{"enough memory to lock", checkMemlock(8<<20, false, 8<<20), OK, "8192 KiB", ""},
		{"a byte too little", checkMemlock(8<<20-1, false, 8<<20), Fail, "limit 8191 KiB", "sudo prlimit --pid $$ --memlock=8388608:8388608"},
		{"too little, and exempt", checkMemlock(0, true, 8<<20), OK, "CAP_IPC_LOCK", ""},
		{"no limit", checkMemlock(unix.RLIM_INFINITY, false, 1<<40), OK, "no limit", ""},

		{"transparent huge pages", checkHugePages(0, "always [madvise] never", 8<<20), OK, "0 reserved pages of 2 MiB are free, --huge for all queues takes 4; transparent huge pages: madvise", ""},
		{"no huge pages at all", checkHugePages(3, "always madvise [never]", 8<<20), Warn, "3 reserved", "sysctl -w vm.nr_hugepages=4"},
		{"reserved ones", checkHugePages(4, "always madvise [never]", 8<<20), OK, "never", ""},
		{"a kernel without transparent ones", checkHugePages(0, "", 8<<20+1), Warn, "none", "sysctl -w vm.nr_hugepages=5"},

		{"a driver of which nothing is known", checkDriver(driver("e1000")), OK, "e1000 (kind device)", ""},
		{"no driver", checkDriver(netdev.Info{Name: "lo", Kind: "device"}), OK, "no ethtool driver (kind device)", ""},
		{"ice", checkDriver(driver("ice")), OK, "reset the link", ""},
		{"virtio", checkDriver(driver("virtio_net")), OK, "iommu_platform=on", ""},
		{"igb", checkDriver(driver("igb")), OK, "1024 bytes", ""},
		{"mlx5", checkDriver(driver("mlx5_core")), Warn, "N to 2N-1", "ethtool -l eth1"},
		{"a bond", checkDriver(netdev.Info{Name: "bond0", Kind: "bond", Driver: "bonding"}), Warn, "XDP_OPTIONS", "xrx run bond0 --bind copy"},

		{"the usual MTU", checkMTU(eth, 2048, "6.18", native, true), OK, "frames up to 1522 bytes; a chunk of 2048 bytes holds 1600", ""},
		{"the largest MTU for a chunk", checkMTU(mtu(1578), 2048, "6.18", native, true), OK, "1600", ""},
		{"a byte more", checkMTU(mtu(1643), 2048, "6.18", native, true), Warn, "multi-buffer), by itself", "xrx run eth1 --chunk 4096"},
		{"too much for any chunk", checkMTU(mtu(9000), 2048, "6.18", native, true), Warn, "by itself", "ip link set dev eth1 mtu 1578"},
		{"jumbo in 4 KiB chunks", checkMTU(mtu(9000), 4096, "6.18", native, true), Warn, "holds 3648", "ip link set dev eth1 mtu 3626"},
		{"jumbo and a kernel that can't", checkMTU(mtu(9000), 2048, "6.1", native, true), Fail, "6.6 can", "ip link set dev eth1 mtu 1578"},
		{"jumbo and a driver that can't", checkMTU(mtu(9000), 2048, "6.18", noSG, true), Warn, "in skb mode only, but the driver not with zero-copy", "ip link set dev eth1 mtu 1578"},
		{"jumbo and a kernel that doesn't tell", checkMTU(mtu(9000), 2048, "6.18", netdev.Support{}, false), Warn, "by itself", "ip link set dev eth1 mtu 1578"},

		{"no RSS table", checkRSS(eth, rss()), OK, "no table", ""},
		{"all queues reached", checkRSS(eth, rss(3, 2, 1, 0, 3, 2, 1, 0)), OK, "8 entries lead to 4 of 4 queues", ""},
		{"some queues reached", checkRSS(eth, rss(0, 2, 0, 2)), Warn, "2 of 4 queues (0,2)", "ethtool -X eth1 equal 4"},
		{"queues beyond", checkRSS(eth, rss(0, 1, 2, 3, 4)), Warn, "queue 4, which xrx does not see", "ethtool -X eth1 equal 4"},

		{"harmless offloads", checkOffloads(eth, offloads(on), nil), OK, "none", ""},
		{"LRO", checkOffloads(eth, offloads(on, "rx-lro"), nil), Warn, "on: lro", "ethtool -K eth1 lro off"},
		{"LRO and hardware GRO", checkOffloads(eth, offloads(on, "rx-lro", "rx-gro-hw"), nil), Warn, "on: lro, rx-gro-hw", "ethtool -K eth1 lro off rx-gro-hw off"},
		{"hardware GRO that can't be switched off", checkOffloads(eth, offloads(fixed, "rx-gro-hw"), nil), Warn, "can't be switched off", ""},
		{"VLAN tags taken by the card", checkOffloads(eth, offloads(on, "rx-vlan-hw-parse"), nil), Warn, "on: rxvlan", "ethtool -K eth1 rxvlan off"},
		{"VLAN tags in a veth's skb", checkOffloads(netdev.Info{Name: "b0", Kind: "veth"}, offloads(on, "rx-vlan-hw-parse"), nil), OK, "none", ""},
		{"no ethtool", checkOffloads(eth, nil, errors.New("ethtool: no")), Warn, "ethtool: no", "ethtool -k eth1"},

		{"a peer out of sight", checkPeer(netdev.Info{Name: "b0"}, nil, errors.New("gone")), Warn, "the peer of b0 can't be seen: gone", "ethtool -K PEER tx off"},
		{"a quiet peer", checkPeer(eth, &netdev.Peer{Name: "a0"}, nil), OK, "a0 has its tx checksum offload and TSO off", ""},
		{"a peer that leaves checksums open", checkPeer(eth, &netdev.Peer{Name: "a0", Into: "ip netns exec red", Offloads: offloads(on)}, nil), Warn, "a0 has on: tx-checksum-ip-generic", "ip netns exec red ethtool -K a0 tx off"},
		{"a peer with TSO alone", checkPeer(eth, &netdev.Peer{Name: "a0", Offloads: map[string]netdev.Offload{"tx-tcp-segmentation": on}}, nil), Warn, "tx-tcp-segmentation", "ethtool -K a0 tso off"},
		{"a peer with more queues, and room for them", checkPeerQueues(eth, 8, &netdev.Peer{Name: "a0", TxQueues: 6}), Warn, "a0 has 6 tx queues, eth1 4 rx", "ethtool -L eth1 rx 6"},
		{"a peer with more queues, and no room", checkPeerQueues(eth, 4, &netdev.Peer{Name: "a0", Into: "nsenter --net=/n", TxQueues: 6}), Warn, "6 tx", "nsenter --net=/n ethtool -L a0 tx 4"},
		{"a peer with as many", checkPeerQueues(eth, 4, &netdev.Peer{Name: "a0", TxQueues: 4}), OK, "4 tx", ""},

		{"no coalescing", checkCoalesce("eth1", nil), OK, "no interrupt coalescing", ""},
		{"adaptive", checkCoalesce("eth1", &netdev.Coalesce{Adaptive: true, RxUsecs: 5000}), OK, "rx-usecs 5000, rx-frames 0, adaptive", ""},
		{"a long wait", checkCoalesce("eth1", &netdev.Coalesce{RxUsecs: 1000}), Warn, "rx-usecs 1000", "ethtool -C eth1 rx-usecs 50"},
		{"a short one", checkCoalesce("eth1", &netdev.Coalesce{RxUsecs: 50, RxFrames: 32}), OK, "rx-frames 32", ""},

		{"NAPI as it comes", checkNAPI("eth1", 0, 0, 0), OK, "napi_defer_hard_irqs 0, gro_flush_timeout 0 ns, threaded 0", ""},
		{"NAPI for busy polling", checkNAPI("eth1", 2, 200000, 1), OK, "gro_flush_timeout 200000 ns, threaded 1", ""},
		{"deferred for ever", checkNAPI("eth1", 2, 0, 0), Warn, "napi_defer_hard_irqs 2", "...echo 0 > /sys/class/net/eth1/napi_defer_hard_irqs"},
		{"a long flush timeout", checkNAPI("eth1", 0, 1000000, 0), Warn, "1000000 ns", "...gro_flush_timeout"},
		{"interrupts put off for long", checkNAPI("eth1", 1, 1000000, 0), Warn, "1000000 ns", "...gro_flush_timeout"},

		{"full XDP", checkFeatures("eth1", native, nil), OK, "basic redirect xsk-zerocopy rx-sg; zero-copy packets of up to 18 frames", ""},
		{"no native XDP", checkFeatures("eth1", netdev.Support{}, nil), Warn, "none", "xrx run eth1 --mode skb"},
		{"no redirect", checkFeatures("eth1", netdev.Support{XDP: netdev.ActBasic}, nil), Warn, "no redirect", "xrx run eth1 --mode skb"},
		{"a bit without a name", checkFeatures("eth1", netdev.Support{XDP: netdev.ActBasic | netdev.ActRedirect | 1<<20}, nil), OK, "basic redirect 0x100000", ""},
		{"a kernel that doesn't tell", checkFeatures("eth1", netdev.Support{}, syscall.ENOENT), OK, "doesn't tell", ""},

		{"no program", checkPrograms("eth1", nil, nil), OK, "no other XDP program", ""},
		{"a netlink program", checkPrograms("eth1", []netdev.XDPProgram{{ID: 7, Name: "filter", Mode: "native"}}, nil), Fail, `"filter" (id 7, native mode, by netlink, held by no process that can be seen)`, "ip link set dev eth1 xdp off"},
		{"a generic one", checkPrograms("eth1", []netdev.XDPProgram{{ID: 7, Mode: "generic"}}, nil), Fail, "a program without a name (id 7, generic mode", "ip link set dev eth1 xdpgeneric off"},
		{"one in hardware", checkPrograms("eth1", []netdev.XDPProgram{{ID: 7, Mode: "offload"}}, nil), Fail, "offload mode", "ip link set dev eth1 xdpoffload off"},
		{"one with a process", checkPrograms("eth1", []netdev.XDPProgram{{ID: 7, Name: "x", Mode: "native", ByLink: true, LinkID: 3, Owners: []netdev.Process{{PID: 12, Name: "lb"}}}}, nil), Fail, "by bpf_link 3, held by lb[12]", "kill 12"},
		{"one with a pinned link", checkPrograms("eth1", []netdev.XDPProgram{{ID: 7, Name: "x", Mode: "native", ByLink: true, LinkID: 3}}, nil), Fail, "by bpf_link 3", "bpftool link detach id 3"},
		{"libxdp's dispatcher", checkPrograms("eth1", []netdev.XDPProgram{{ID: 7, Name: "xdp_dispatcher", Mode: "native"}}, nil), Fail, "xdp_dispatcher", "xdp-loader unload eth1 --all"},
		{"netlink fails", checkPrograms("eth1", nil, syscall.EIO), Warn, "input/output error", "ip link show dev eth1"},

		{"nobody has a queue", checkSockets(eth, nil, true, nil), OK, "no queue", ""},
		{"who has queues is not told", checkSockets(eth, nil, false, nil), OK, "doesn't tell", ""},
		{"some are taken", checkSockets(eth, []int{0, 2}, true, []netdev.Process{{PID: 9, Name: "xrx"}}), Fail, "taken: queue 0,2, by xrx[9]", "xrx run eth1 --queues 1,3"},
		{"all but one", checkSockets(eth, []int{0, 1, 2}, true, nil), Fail, "taken: queue 0,1,2", "xrx run eth1 --queues 3-3"},
		{"all, by several", checkSockets(eth, []int{0, 1, 2, 3}, true, []netdev.Process{{PID: 9, Name: "a"}, {PID: 8, Name: "b"}}), Fail, "these have AF_XDP sockets: a[9] b[8]", "kill 9 8"},
		{"all, by who knows", checkSockets(eth, []int{0, 1, 2, 3}, true, nil), Fail, "taken: queue 0,1,2,3", "ss --xdp -p"},

		{"zero-copy works", checkZeroCopy(eth, 3, 2*time.Millisecond, native, nil), OK, "queue 3 was bound with zero-copy and given back, in 2 ms", ""},
		{"no zero-copy", checkZeroCopy(eth, 0, 0, netdev.Support{}, refusal("bind", syscall.EOPNOTSUPP)), Warn, "operation not supported: for a reason", "xrx run eth1 --bind copy"},
		{"zero-copy promised and refused", checkZeroCopy(eth, 0, 0, native, refusal("bind", syscall.EOPNOTSUPP)), Warn, "names it among its features", "xrx run eth1 --bind copy"},
		{"a refusal by settings", checkZeroCopy(eth, 0, 0, native, refusal("bind", syscall.EINVAL)), Warn, "invalid argument: for a reason", "xrx run eth1 --bind copy"},
		{"the queue is taken", checkZeroCopy(eth, 0, 0, native, refusal("bind", syscall.EBUSY)), Fail, "busy: for a reason", "ss --xdp -p"},
		{"not allowed", checkZeroCopy(eth, 0, 0, native, refusal("socket", syscall.EPERM)), Warn, "could not be tried", "sudo xrx doctor eth1"},
		{"locked memory", checkZeroCopy(eth, 0, 0, native, refusal("XDP_UMEM_REG", syscall.ENOBUFS)), Fail, "could not be tried", "ulimit -l unlimited"},
		{"the link is down", checkZeroCopy(eth, 0, 0, native, refusal("bind", syscall.ENETDOWN)), Warn, "network is down", "ip link set dev eth1 up"},
		{"out of memory", checkZeroCopy(eth, 0, 0, native, refusal("bind", syscall.ENOMEM)), Warn, "cannot allocate", "xrx run eth1 --bind copy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &exam{report: &Report{Verdict: OK}}
			e.add(c.got)
			got := e.report.Checks[0]
			if got.Verdict != c.want || !strings.Contains(got.Found, c.found) {
				t.Errorf("%s: %s, want %s: %q", got.Verdict, got.Found, c.want, c.found)
			}
			if part, cut := strings.CutPrefix(c.fix, "..."); cut && !strings.Contains(got.Fix, part) || !cut && got.Fix != c.fix {
				t.Errorf("fix %q, want %q", got.Fix, c.fix)
			}
			if got.ID == "" || got.Why == "" || strings.Contains(got.Found, "\n") {
				t.Errorf("incomplete: %+v", got)
			}
		})
	}
}

func TestTheChunkIsTheOneThatTheReceiverTakes(t *testing.T) {
	for driver, want := range map[string]int{"igb": 4096, "igc": 4096, "veth": 2048, "": 2048} {
		if got := defaultChunk(driver); got != want {
			t.Errorf("%q: %d, want %d", driver, got, want)
		}
	}
}

func TestKernelOptionsAreReadAsTheyAreWritten(t *testing.T) {
	got := parseConfig(strings.NewReader("# comment\nCONFIG_XDP_SOCKETS=y\n# CONFIG_XDP_SOCKETS_DIAG is not set\nCONFIG_HZ=250\nnonsense=1\n"))
	if want := map[string]string{"CONFIG_XDP_SOCKETS": "y", "CONFIG_HZ": "250"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestTextHasALineForEachCheckAndReasonsWhereNotAllIsWell(t *testing.T) {
	r := &Report{Interface: "eth1", Checks: []Check{
		{"link", OK, "up", "unsaid", ""},
		{"offloads", Warn, "on: lro", "it merges", "ethtool -K eth1 lro off"},
		{"peer", Fail, "gone", "nothing comes", ""},
	}}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	const want = `ok    link      up
warn  offloads  on: lro
                why: it merges
                fix: ethtool -K eth1 lro off
fail  peer      gone
                why: nothing comes
eth1: 1 ok, 1 warn, 1 fail
`
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
}
