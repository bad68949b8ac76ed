package doctor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"xrx/internal/netdev"
	"xrx/internal/testnet"
	"xrx/internal/vethnet"
	"xrx/umem"
	"xrx/xsk"
)

// host are the checks of the machine: their verdicts are not ours to choose here.
var host = []string{"kernel", "config", "jit", "capabilities", "memlock", "hugepages"}

// examineB examines an interface of namespace B.
func examineB(t *testing.T, n *testnet.Net, iface string, opts Options) *Report {
	t.Helper()
	var r *Report
	n.InB(func() {
		var err error
		if r, err = Examine(iface, opts); err != nil {
			t.Fatal(err)
		}
	})
	return r
}

// expect is what a check is to say: its verdict, words of what it found, and of the command that mends it.
type expect struct {
	verdict    Verdict
	found, fix string
}

// compare pins every check of the report that is not the host's: those not named are ok.
func compare(t *testing.T, r *Report, want map[string]expect) {
	t.Helper()
	seen := map[string]bool{}
	for _, c := range r.Checks {
		if seen[c.ID] {
			t.Errorf("%s is there twice", c.ID)
		}
		if seen[c.ID] = true; slices.Contains(host, c.ID) {
			continue
		}
		w, named := want[c.ID]
		if !named {
			w = expect{verdict: OK}
		}
		if c.Verdict != w.verdict || !strings.Contains(c.Found, w.found) || !strings.Contains(c.Fix, w.fix) {
			t.Errorf("%s: %s: %q, fix %q: want %s, %q, %q", c.ID, c.Verdict, c.Found, c.Fix, w.verdict, w.found, w.fix)
		}
	}
	for id := range want {
		if !seen[id] {
			t.Errorf("%s is not there", id)
		}
	}
	for _, id := range host {
		if !seen[id] {
			t.Errorf("%s is not there", id)
		}
	}
}

// pass is a program that passes everything, under a name of its own.
var pass = &ebpf.ProgramSpec{Name: "somebody_else", Type: ebpf.XDP, License: "Apache-2.0",
	Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}}

func passProgram(t *testing.T) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(pass)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// byNetlink attaches a program as ip(8) does, and closes our descriptor of it.
func byNetlink(flags int) func(*testing.T, *testnet.Net) {
	return func(t *testing.T, n *testnet.Net) {
		p := passProgram(t)
		l, err := n.B.Link()
		if err != nil {
			t.Fatal(err)
		}
		n.InB(func() {
			if err := netlink.LinkSetXdpFdWithFlags(l, p.FD(), flags); err != nil {
				t.Fatal(err)
			}
		})
		p.Close()
	}
}

func byLink(t *testing.T, n *testnet.Net) {
	p := passProgram(t)
	n.InB(func() {
		l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: n.B.Index, Flags: link.XDPDriverMode})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	})
}

// take binds sockets to queues of b0, in copy mode, until the test ends.
func take(queues ...int) func(*testing.T, *testnet.Net) {
	return func(t *testing.T, n *testnet.Net) {
		for _, q := range queues {
			mem, err := umem.New(umem.Config{Frames: 64})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { mem.Close() })
			n.InB(func() {
				s, err := xsk.Open(xsk.Config{Umem: mem, IfIndex: n.B.Index, Iface: "b0", Queue: q, FillSize: 64, RxSize: 64})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
				if _, err := s.Bind(xsk.Copy, false); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// needTaken skips where the kernel doesn't tell which queues have sockets.
func needTaken(t *testing.T, n *testnet.Net) {
	t.Helper()
	n.InB(func() {
		if _, known := netdev.QueuesWithSockets(n.B.Index); !known {
			t.Skip("this kernel does not tell which queues have AF_XDP sockets (needs 6.15)")
		}
	})
}

// await polls until an interface of namespace B is as wanted: the kernel changes its state up to a second late.
func await(t *testing.T, n *testnet.Net, iface, what string, ok func(*netlink.LinkAttrs) bool) {
	t.Helper()
	n.InB(func() {
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			l, err := netlink.LinkByName(iface)
			if err != nil {
				t.Fatal(err)
			}
			if ok(l.Attrs()) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s after 5 s still not %s: %s", iface, what, l.Attrs().OperState)
			}
		}
	})
}

func TestEachDefectOfAVethIsFoundAndNoOther(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	noZC := expect{Warn, "operation not supported: the driver has no AF_XDP zero-copy", "xrx run b0 --bind copy"}
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	self := fmt.Sprintf("%s[%d]", strings.TrimSpace(string(comm)), os.Getpid())
	offload := func(o vethnet.Offload) func(*testing.T, *testnet.Net) {
		return func(t *testing.T, n *testnet.Net) {
			if err := n.A.SetOffload(o, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name   string
		opts   testnet.Options
		defect func(*testing.T, *testnet.Net)
		taken  bool // needs a kernel that tells who has queues
		want   map[string]expect
	}{
		{"none", testnet.Options{}, nil, false, map[string]expect{"zero-copy": noZC}},
		{"none, with four queues", testnet.Options{Queues: 4}, nil, false, map[string]expect{"zero-copy": noZC}},
		{"the peer leaves checksums open", testnet.Options{}, offload(vethnet.TxChecksum), false, map[string]expect{"zero-copy": noZC,
			"peer": {Warn, "a0 has on: tx-checksum-ip-generic", " ethtool -K a0 tx off"}}},
		{"and sends segments unsegmented", testnet.Options{}, func(t *testing.T, n *testnet.Net) {
			offload(vethnet.TxChecksum)(t, n)
			offload(vethnet.TSO)(t, n)
		}, false, map[string]expect{"zero-copy": noZC,
			"peer": {Warn, "tx-checksum-ip-generic, tx-tcp-segmentation, tx-tcp6-segmentation", " ethtool -K a0 tx off"}}},
		{"the peer has more tx queues", testnet.Options{Queues: 1, QueuesA: 2}, nil, false, map[string]expect{"zero-copy": noZC,
			"peer-queues": {Warn, "a0 has 2 tx queues, b0 1 rx", " ethtool -L a0 tx 1"}}},
		{"MTU 2000", testnet.Options{MTU: 2000}, nil, false, map[string]expect{"zero-copy": noZC,
			"mtu": {Warn, "frames up to 2022 bytes; a chunk of 2048 bytes holds 1664", "xrx run b0 --chunk 4096"}}},
		{"MTU 9000", testnet.Options{MTU: 9000}, nil, false, map[string]expect{"zero-copy": noZC,
			"mtu": {Warn, "multi-buffer", "ip link set dev b0 mtu 1642"}}},
		{"set down", testnet.Options{MTU: 1200}, func(t *testing.T, n *testnet.Net) {
			if err := n.B.Down(); err != nil {
				t.Fatal(err)
			}
		}, false, map[string]expect{"zero-copy": noZC,
			"link": {Fail, "set down", "ip link set dev b0 up"}}},
		{"the peer is down", testnet.Options{MTU: 1200}, func(t *testing.T, n *testnet.Net) {
			if err := n.A.Down(); err != nil {
				t.Fatal(err)
			}
			await(t, n, "b0", "without carrier", func(a *netlink.LinkAttrs) bool { return a.OperState != netlink.OperUp })
		}, false, map[string]expect{"zero-copy": noZC,
			"link": {Warn, "no carrier", "ip link set dev PEER up"}}},
		{"the default route", testnet.Options{}, func(t *testing.T, n *testnet.Net) {
			if err := n.B.DefaultRoute(n.A.IP4); err != nil {
				t.Fatal(err)
			}
		}, false, map[string]expect{
			"traffic":   {Warn, "it carries the default route", "xrx run b0 --take-all"},
			"zero-copy": {Warn, "not tried: it carries the default route", "xrx doctor b0 --try always"}}},
		{"a timeout that holds packets", testnet.Options{}, func(t *testing.T, n *testnet.Net) {
			if err := n.B.SysClass("gro_flush_timeout", "2000000"); err != nil {
				t.Fatal(err)
			}
		}, false, map[string]expect{"zero-copy": noZC,
			"napi": {Warn, "napi_defer_hard_irqs 0, gro_flush_timeout 2000000 ns", "echo 0 > /sys/class/net/b0/gro_flush_timeout"}}},
		{"interrupts deferred without a timeout", testnet.Options{}, func(t *testing.T, n *testnet.Net) {
			if err := n.B.SysClass("napi_defer_hard_irqs", "3"); err != nil {
				t.Fatal(err)
			}
		}, false, map[string]expect{"zero-copy": noZC,
			"napi": {Warn, "napi_defer_hard_irqs 3", "echo 0 > /sys/class/net/b0/napi_defer_hard_irqs"}}},
		{"another's program, native, left by netlink", testnet.Options{}, byNetlink(unix.XDP_FLAGS_DRV_MODE), false, map[string]expect{
			"xdp-programs": {Fail, `native mode, by netlink, held by no process`, "ip link set dev b0 xdp off"},
			"zero-copy":    {Warn, "not tried: an XDP program is there", "--try always"}}},
		{"another's program, generic, left by netlink", testnet.Options{}, byNetlink(unix.XDP_FLAGS_SKB_MODE), false, map[string]expect{
			"xdp-programs": {Fail, `"somebody_else" (id `, "ip link set dev b0 xdpgeneric off"},
			"zero-copy":    {Warn, "not tried: an XDP program is there", "--try always"}}},
		{"another's program with its owner", testnet.Options{}, byLink, false, map[string]expect{
			"xdp-programs": {Fail, "held by " + self + ")", fmt.Sprintf("kill %d", os.Getpid())},
			"zero-copy":    {Warn, "not tried: an XDP program is there", "--try always"}}},
		{"one of two queues is taken", testnet.Options{Queues: 2}, take(0), true, map[string]expect{"zero-copy": noZC,
			"sockets": {Fail, "taken: queue 0, by " + self, "xrx run b0 --queues 1-1"}}},
		{"every queue is taken", testnet.Options{Queues: 2}, take(0, 1), true, map[string]expect{
			"sockets":   {Fail, "taken: queue 0,1, by " + self, fmt.Sprintf("kill %d", os.Getpid())},
			"zero-copy": {Warn, "EBUSY", ""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			testnet.NoLeaks(t)
			t.Setenv("SSH_CONNECTION", "")
			n := testnet.New(t, c.opts)
			if c.taken {
				needTaken(t, n)
			}
			if c.defect != nil {
				c.defect(t, n)
			}
			r := examineB(t, n, "b0", Options{})
			want := maps.Clone(c.want)
			for _, check := range r.Checks {
				// The driver takes native XDP back while the peer has more queues, in kernels that can tell (6.3).
				if check.ID == "xdp-features" && want["peer-queues"].verdict == Warn && !strings.Contains(check.Found, "doesn't tell") {
					want["xdp-features"] = expect{Warn, "names no native XDP", "xrx run b0 --mode skb"}
				}
			}
			compare(t, r, want)
			if r.Interface != "b0" || r.Driver != "veth" {
				t.Errorf("%s, %s", r.Interface, r.Driver)
			}
		})
	}
}

// asChild makes the test binary another process, which attaches a program to b0 and stays until its input ends.
const asChild = "XRX_DOCTOR_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		if err := attachAndWait(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func attachAndWait() error {
	l, err := netlink.LinkByName("b0")
	if err != nil {
		return err
	}
	p, err := ebpf.NewProgram(pass)
	if err != nil {
		return err
	}
	if _, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: l.Attrs().Index}); err != nil {
		return err
	}
	fmt.Println("attached")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func TestTheOwnerOfAProgramIsNamedAndNobodyElse(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	child, start := n.B.Command(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), asChild+"=1")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || said != "attached\n" {
		t.Fatalf("%q, %v", said, err)
	}
	want := expect{Fail, fmt.Sprintf("[%d])", child.Process.Pid), fmt.Sprintf("kill %d", child.Process.Pid)}
	for _, c := range examineB(t, n, "b0", Options{}).Checks {
		if c.ID == "xdp-programs" && (c.Verdict != want.verdict || !strings.HasSuffix(c.Found, want.found) || c.Fix != want.fix || strings.Contains(c.Found, fmt.Sprintf("[%d]", os.Getpid()))) {
			t.Errorf("%+v, want %+v", c, want)
		}
	}
	stdin.Close()
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}

func TestASocketThatTheKernelDoesNotTellOfIsFoundByTrying(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	take(0)(t, n)
	n.InB(func() {
		i, err := netdev.Get("b0")
		if err != nil {
			t.Fatal(err)
		}
		queue, err := tryZeroCopy(i, []int{0})
		c := checkZeroCopy(i, queue, 0, netdev.Support{}, err)
		if !errors.Is(err, syscall.EBUSY) || c.Verdict != Fail || !strings.Contains(c.Found, "another AF_XDP socket has this queue") {
			t.Errorf("%v: %+v", err, c)
		}
	})
}

func TestZeroCopyIsTriedWhenAndOnlyWhenItMay(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	if err := n.B.DefaultRoute(n.A.IP4); err != nil {
		t.Fatal(err)
	}
	for try, want := range map[Try]string{TryAuto: "not tried: it carries", TryNever: "not tried: so it was asked", TryAlways: "refused: bind b0 queue 0 (zerocopy)"} {
		r := examineB(t, n, "b0", Options{Try: try})
		if c := r.Checks[len(r.Checks)-1]; c.ID != "zero-copy" || !strings.HasPrefix(c.Found, want) {
			t.Errorf("%s: %+v, want %q", try, c, want)
		}
	}
}

// ip runs ip(8) in namespace B; a device type that this kernel has not skips.
func ip(t *testing.T, n *testnet.Net, args string) {
	t.Helper()
	out, err := n.B.Exec(t.Context(), "ip", strings.Fields(args)...)
	if strings.Contains(string(out), "Unknown device type") || strings.Contains(string(out), "not supported") {
		t.Skipf("this kernel can't: ip %s: %s", args, out)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// kinds are interfaces that are no veth, and how to make them.
var kinds = []struct {
	iface, set string
	want       map[string]expect
}{
	{"lo", "", map[string]expect{"link": {Fail, "set down", "ip link set dev lo up"}, "mtu": {Warn, "MTU 65536", "ip link set dev lo mtu 1642"}}},
	{"lo", "link set lo up", map[string]expect{"mtu": {Warn, "MTU 65536", "ip link set dev lo mtu 1642"}}},
	{"br0", "link add br0 type bridge; link set b0 master br0; link set br0 up", nil},
	{"m0", "link add link b0 name m0 type macvlan; link set m0 up", nil},
	{"d0", "link add d0 type dummy; link set d0 up", nil},
	{"v7", "link add link b0 name v7 type vlan id 7; link set v7 up", nil},
	{"b0", "link add br0 type bridge; link set b0 master br0", map[string]expect{"traffic": {Warn, "it is a port of br0 (bridge)", "ip link set dev b0 nomaster"}}},
}

func TestInterfacesOfOtherKindsAreJudgedAsTheyAre(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp", "cmd:ip")
	for _, k := range kinds {
		t.Run(k.iface+": "+k.set, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{MTU: 1200})
			for args := range strings.SplitSeq(k.set, ";") {
				if args = strings.TrimSpace(args); args != "" {
					ip(t, n, args)
				}
			}
			if strings.Contains(k.set, "link set "+k.iface+" up") {
				await(t, n, k.iface, "up", func(a *netlink.LinkAttrs) bool {
					return a.OperState == netlink.OperUp || a.OperState == netlink.OperUnknown
				})
			}
			r := examineB(t, n, k.iface, Options{})
			want := map[string]expect{"zero-copy": {Warn, "operation not supported", "xrx run " + k.iface + " --bind copy"}}
			maps.Copy(want, k.want)
			for _, c := range r.Checks {
				if c.ID == "xdp-features" && c.Verdict != OK && k.iface != "b0" { // software devices have none, where the kernel tells
					want["xdp-features"] = expect{Warn, "names no native XDP: none", "xrx run " + k.iface + " --mode skb"}
				}
			}
			compare(t, r, want)
		})
	}
}

func TestAnInterfaceThatIsNotThereIsOneFailedCheck(t *testing.T) {
	r, err := Examine("nosuch0", Options{})
	if err == nil || !strings.Contains(err.Error(), `no interface "nosuch0" here`) {
		t.Error(err)
	}
	want := []Check{{"interface", Fail, err.Error(), "there is nothing to receive from", "ip link"}}
	if !reflect.DeepEqual(r.Checks, want) || r.Verdict != Fail || !slices.Equal(r.Failed(), []string{"interface"}) {
		t.Errorf("%+v, want %+v", r, want)
	}
}

// state is everything that can be seen of an interface: netlink's attributes, XDP programs, ethtool's settings, queues
// with sockets, and each file of its directory in sysfs, but for counters of traffic.
func state(t *testing.T, name string) map[string]string {
	t.Helper()
	s := map[string]string{}
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	a := l.Attrs()
	a.Statistics = nil
	if a.Xdp != nil {
		s["netlink xdp"] = fmt.Sprintf("%+v", *a.Xdp)
	}
	a.Xdp = nil
	s["netlink"] = fmt.Sprintf("%+v", *a)
	programs, err := netdev.XDPPrograms(a.Index)
	s["programs"] = fmt.Sprintf("%+v %v", programs, err)
	settings, err := netdev.GetSettings(name)
	if settings.Coalesce != nil {
		s["coalesce"], settings.Coalesce = fmt.Sprintf("%+v", *settings.Coalesce), nil
	}
	s["settings"] = fmt.Sprintf("%+v %v", settings, err)
	taken, known := netdev.QueuesWithSockets(a.Index)
	s["sockets"] = fmt.Sprint(taken, known)
	sysfs, err := netdev.OpenSysfs(netdev.Info{Name: name, Index: a.Index}, a.HardwareAddr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer sysfs.Close()
	var walk func(dir string)
	walk = func(dir string) {
		names, err := sysfs.List(name, dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range names {
			path := strings.TrimPrefix(dir+"/"+file, "/")
			switch file {
			case "statistics", "subsystem", "device", "power", "byte_queue_limits":
				continue
			}
			if strings.HasSuffix(file, "_timer") { // of a bridge: time goes by
				continue
			}
			if sub, err := sysfs.List(name, path); err == nil && !strings.HasPrefix(file, "lower_") && !strings.HasPrefix(file, "upper_") && file != "master" && len(sub) > 0 {
				walk(path)
				continue
			}
			text, err := sysfs.Read(name, path)
			s["sysfs "+path] = fmt.Sprint(text, err)
		}
	}
	walk("")
	if len(s) < 20 {
		t.Fatalf("only %d things to be seen of %s: %v", len(s), name, s)
	}
	return s
}

func TestNothingIsChangedOnTheInterface(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp", "cmd:ip")
	for _, c := range []struct {
		name, iface, set string
		defect           func(*testing.T, *testnet.Net)
	}{
		{"a veth", "b0", "", nil},
		{"a veth with a program", "b0", "", byNetlink(unix.XDP_FLAGS_DRV_MODE)},
		{"a veth with a socket on one of two queues", "b0", "", take(0)},
		{"the loopback", "lo", "link set lo up", nil},
		{"a bridge", "br0", "link add br0 type bridge", nil},
		{"a macvlan", "m0", "link add link b0 name m0 type macvlan", nil},
		{"a dummy", "d0", "link add d0 type dummy", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{Queues: 2, MTU: 1200})
			if c.set != "" {
				ip(t, n, c.set)
			}
			if c.defect != nil {
				c.defect(t, n)
			}
			n.InB(func() {
				details := func() string {
					return n.Exec(n.B, "ip", "-d", "link", "show", "dev", c.iface)
				}
				before, shown := state(t, c.iface), details()
				if _, err := Examine(c.iface, Options{Try: TryAlways}); err != nil {
					t.Fatal(err)
				}
				after := state(t, c.iface)
				for _, key := range slices.Sorted(maps.Keys(before)) {
					if before[key] != after[key] {
						t.Errorf("%s: %s, was %s", key, after[key], before[key])
					}
				}
				if len(before) != len(after) {
					t.Errorf("%d things to be seen, were %d", len(after), len(before))
				}
				if now := details(); now != shown {
					t.Errorf("ip -d link: %s\nwas %s", now, shown)
				}
			})
		})
	}
}
