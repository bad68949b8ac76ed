package doctor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"xrx/internal/netdev"
	"xrx/internal/testnet"
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
