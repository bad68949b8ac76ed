package bpf_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"xrx/bpf"
	"xrx/internal/testnet"
)

// attached is what netlink says is on an interface of the calling thread's namespace.
func attached(t testing.TB, ifindex int) (id uint32, mode bpf.Mode) {
	t.Helper()
	l, err := netlink.LinkByIndex(ifindex)
	must(t, err)
	xdp := l.Attrs().Xdp
	if xdp == nil || !xdp.Attached {
		return 0, bpf.Auto
	}
	return xdp.ProgId, map[uint32]bpf.Mode{1: bpf.Native, 2: bpf.Generic}[xdp.AttachMode]
}

func TestAttachedInTheModeAskedForAndGoneAfterClose(t *testing.T) {
	testnet.Require(t, "root", "veth")
	tests := []struct {
		name      string
		opts      bpf.Options
		hwMeta    bool
		loopback  bool // an interface without native XDP and metadata
		ask, want bpf.Mode
		wantHW    bool
		refused   []error // errno of each attempt that failed
	}{
		{"native on veth", bpf.Options{}, false, false, bpf.Native, bpf.Native, false, nil},
		{"generic on veth", bpf.Options{}, false, false, bpf.Generic, bpf.Generic, false, nil},
		{"auto on veth is native", bpf.Options{}, false, false, bpf.Auto, bpf.Native, false, nil},
		{"auto on loopback is generic, and says why", bpf.Options{}, false, true, bpf.Auto, bpf.Generic, false, []error{syscall.EOPNOTSUPP}},
		{"hardware metadata on veth, auto", bpf.Options{}, true, false, bpf.Auto, bpf.Native, true, nil},
		{"hardware metadata on veth, native", bpf.Options{HWHash: true}, true, false, bpf.Native, bpf.Native, true, nil},
		{"generic mode has no hardware metadata", bpf.Options{}, true, false, bpf.Generic, bpf.Generic, false, nil},
		{"loopback has no hardware metadata, and says why", bpf.Options{}, true, true, bpf.Auto, bpf.Generic, false, []error{syscall.EOPNOTSUPP, syscall.EOPNOTSUPP}},
		{"without multi-buffer support", bpf.Options{NoFrags: true}, false, false, bpf.Auto, bpf.Native, false, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{})
			n.InB(func() {
				index := n.B.Index
				if test.loopback {
					index = 1
				}
				if test.hwMeta {
					test.opts.HWMeta, test.opts.IfIndex = true, index
				}
				p := load(t, test.opts)
				a, err := p.Attach(index, test.ask)
				must(t, err)
				if a.Mode() != test.want || a.HWMeta() != test.wantHW || a.IfIndex() != index {
					t.Errorf("got %v, hardware metadata %t", a.Mode(), a.HWMeta())
				}
				if id, mode := attached(t, index); id == 0 || mode != test.want {
					t.Errorf("netlink sees program %d, %v mode", id, mode)
				} else if infos, err := p.Info(); err != nil || !slices.ContainsFunc(infos, func(i bpf.Info) bool { return i.ID == id && i.HWMeta == test.wantHW }) {
					t.Errorf("program %d is none of %+v (%v)", id, infos, err)
				}
				if len(a.Attempts()) != len(test.refused) {
					t.Fatalf("attempts %v, want %v", a.Attempts(), test.refused)
				}
				for i, attempt := range a.Attempts() {
					if !errors.Is(attempt.Err, test.refused[i]) || attempt.Why == "" {
						t.Errorf("attempt %d: %v, want %v", i, attempt, test.refused[i])
					}
				}
				must(t, a.Close())
				must(t, a.Close())
				if id, _ := attached(t, index); id != 0 {
					t.Errorf("program %d is still there after Close", id)
				}
			})
		})
	}
}

func TestRefusedAttachSaysWhatToTry(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{MTU: 9000, Queues: 1, QueuesA: 4})
	n.InB(func() {
		plain, small := load(t, bpf.Options{}), load(t, bpf.Options{NoFrags: true})
		tests := []struct {
			name    string
			program *bpf.Program
			index   int
			mode    bpf.Mode
			errno   error
			word    string
		}{
			{"native on loopback", plain, 1, bpf.Native, syscall.EOPNOTSUPP, "generic"},
			{"no such interface", plain, 4711, bpf.Auto, syscall.ENODEV, "no interface has index"},
			{"fewer queues than the peer", plain, n.B.Index, bpf.Native, syscall.ENOSPC, "rx queues"},
			{"MTU 9000 without multi-buffer support", small, n.B.Index, bpf.Native, syscall.ERANGE, "MTU"},
		}
		for _, test := range tests {
			a, err := test.program.Attach(test.index, test.mode)
			if err == nil {
				t.Errorf("%s: attached, %v", test.name, a.Mode())
				continue
			}
			var refused *bpf.AttachError
			if errors.As(err, &refused) != (test.errno != syscall.ENODEV) || !errors.Is(err, test.errno) || !strings.Contains(err.Error(), test.word) {
				t.Errorf("%s: %v; want %v and the word %q", test.name, err, test.errno, test.word)
			}
			if test.index != 4711 {
				if id, _ := attached(t, test.index); id != 0 {
					t.Errorf("%s: left program %d", test.name, id)
				}
			}
		}
		if _, err := plain.Attach(0, bpf.Auto); err == nil {
			t.Error("attached to interface 0")
		}
	})
}

func TestDeviceBoundProgramFallsBackOnAnotherDevice(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n, other := testnet.New(t, testnet.Options{}), testnet.New(t, testnet.Options{})
	var p *bpf.Program
	n.InB(func() { p = load(t, bpf.Options{HWMeta: true, IfIndex: n.B.Index}) })
	other.InB(func() {
		a, err := p.Attach(other.B.Index, bpf.Auto)
		must(t, err)
		defer a.Close()
		if a.Mode() != bpf.Native || a.HWMeta() || len(a.Attempts()) != 1 || !errors.Is(a.Attempts()[0].Err, syscall.EINVAL) {
			t.Errorf("got %v, hardware metadata %t, after %v", a.Mode(), a.HWMeta(), a.Attempts())
		}
	})
}

func TestAnotherProgramIsNamedAndLeftAlone(t *testing.T) {
	testnet.Require(t, "root", "veth")
	byLink := func(flags link.XDPAttachFlags) func(*testing.T, int, *ebpf.Program) func() {
		return func(t *testing.T, index int, prog *ebpf.Program) func() {
			l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: index, Flags: flags})
			must(t, err)
			return func() { must(t, l.Close()) }
		}
	}
	byNetlink := func(flags int) func(*testing.T, int, *ebpf.Program) func() {
		return func(t *testing.T, index int, prog *ebpf.Program) func() {
			l, err := netlink.LinkByIndex(index)
			must(t, err)
			must(t, netlink.LinkSetXdpFdWithFlags(l, prog.FD(), flags))
			return func() { must(t, netlink.LinkSetXdpFdWithFlags(l, -1, flags)) }
		}
	}
	const drv, skb = 1 << 2, 1 << 1 // XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE
	tests := []struct {
		name   string
		occupy func(*testing.T, int, *ebpf.Program) func()
		byLink bool
		mode   bpf.Mode
	}{
		{"native by link", byLink(link.XDPDriverMode), true, bpf.Native},
		{"generic by link", byLink(link.XDPGenericMode), true, bpf.Generic},
		{"native by netlink", byNetlink(drv), false, bpf.Native},
		{"generic by netlink", byNetlink(skb), false, bpf.Generic},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			testnet.NoLeaks(t)
			n := testnet.New(t, testnet.Options{})
			n.InB(func() {
				other, err := bpf.LoadPass()
				must(t, err)
				defer other.Close()
				leave := test.occupy(t, n.B.Index, other)
				before, _ := attached(t, n.B.Index)
				p := load(t, bpf.Options{})
				for _, mode := range []bpf.Mode{bpf.Auto, bpf.Native, bpf.Generic} {
					_, err := p.Attach(n.B.Index, mode)
					var busy *bpf.BusyError
					if !errors.As(err, &busy) {
						t.Fatalf("%v: %v, want a BusyError", mode, err)
					}
					want := bpf.BusyError{Interface: n.B.Iface, IfIndex: n.B.Index, ID: before, Name: "xrx_pass", Mode: test.mode.String(),
						ByLink: test.byLink, PID: syscall.Getpid(), Command: "bpf.test"}
					if *busy != want {
						t.Errorf("%v: %+v, want %+v", mode, *busy, want)
					}
					for _, word := range []string{"xrx_pass", fmt.Sprint(before), test.mode.String(), n.B.Iface, "bpf.test"} {
						if !strings.Contains(err.Error(), word) {
							t.Errorf("%v: %q doesn't say %q", mode, err, word)
						}
					}
				}
				if after, mode := attached(t, n.B.Index); after != before || mode != test.mode {
					t.Errorf("program %d became %d in %v mode", before, after, mode)
				}
				leave()
				a, err := p.Attach(n.B.Index, bpf.Auto)
				must(t, err)
				must(t, a.Close())
			})
		})
	}
}

func TestCloseOfTheProgramDetachesAndUnloads(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	n.InB(func() {
		p := load(t, bpf.Options{HWMeta: true, IfIndex: n.B.Index})
		a, err := p.Attach(n.B.Index, bpf.Auto)
		must(t, err)
		infos, err := p.Info()
		must(t, err)
		must(t, p.Close())
		must(t, p.Close())
		must(t, a.Close())
		if id, _ := attached(t, n.B.Index); id != 0 {
			t.Errorf("program %d is still attached", id)
		}
		for _, info := range infos {
			eventually(t, fmt.Sprintf("program %d unloaded", info.ID), func() bool {
				prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(info.ID))
				if err == nil {
					prog.Close()
				}
				return err != nil
			})
		}
		for name, call := range map[string]func() error{
			"Attach":     func() error { _, err := p.Attach(n.B.Index, bpf.Auto); return err },
			"Register":   func() error { return p.Register(0, 0) },
			"Unregister": func() error { return p.Unregister(0) },
			"SetEnabled": func() error { return p.SetEnabled(true) },
			"Counters":   func() error { _, err := p.Counters(); return err },
			"Info":       func() error { _, err := p.Info(); return err },
		} {
			if err := call(); !errors.Is(err, bpf.ErrClosed) {
				t.Errorf("%s after Close: %v", name, err)
			}
		}
	})
}

func TestCloseAfterTheInterfaceIsGoneIsNoError(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	n.InB(func() {
		p := load(t, bpf.Options{HWMeta: true, IfIndex: n.B.Index})
		a, err := p.Attach(n.B.Index, bpf.Auto)
		must(t, err)
		must(t, n.B.Delete())
		must(t, a.Close())
		must(t, p.Close())
	})
}

func TestQueueNumbersAndDescriptorsAreChecked(t *testing.T) {
	testnet.Require(t, "root", "afxdp")
	p := load(t, bpf.Options{MaxQueues: 3})
	fd := openSocket(t, "lo").FD()
	must(t, p.Register(2, fd))
	for name, err := range map[string]error{
		"queue beyond MaxQueues":       p.Register(3, fd),
		"negative queue":               p.Register(-1, fd),
		"queue beyond on unregister":   p.Unregister(3),
		"descriptor that is no socket": p.Register(0, 0),
		"no descriptor":                p.Register(0, -1),
	} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestEachQueueHasItsOwnSocket(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{Queues: 3})
	n.InB(func() {
		p := load(t, bpf.Options{MaxQueues: 2})
		a, err := p.Attach(n.B.Index, bpf.Native) // queues are set up for XDP with the first program
		must(t, err)
		defer a.Close()
		verdicts := func() (v [3]uint32) {
			for queue := range v {
				packet := ipv4()
				v[queue], err = p.Prog().Run(&ebpf.RunOptions{Data: packet, Context: xdpMD{
					DataEnd: uint32(len(packet)), IngressIfindex: uint32(n.B.Index), RxQueueIndex: uint32(queue)}})
				must(t, err)
			}
			return v
		}
		one, zero := openSocket(t, n.B.Iface), openSocket(t, n.B.Iface)
		must(t, p.Register(1, one.FD()))
		if v, want := verdicts(), [3]uint32{xdpPass, xdpRedirect, xdpPass}; v != want {
			t.Errorf("with queue 1 registered: %v, want %v", v, want)
		}
		must(t, p.Register(0, zero.FD()))
		if v, want := verdicts(), [3]uint32{xdpRedirect, xdpRedirect, xdpPass}; v != want {
			t.Errorf("with both registered, the third beyond MaxQueues: %v, want %v", v, want)
		}
		must(t, p.Unregister(1))
		if v, want := verdicts(), [3]uint32{xdpRedirect, xdpPass, xdpPass}; v != want {
			t.Errorf("with queue 1 unregistered: %v, want %v", v, want)
		}
	})
}
