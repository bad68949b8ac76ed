package bpf_test

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"xrx/bpf"
	"xrx/internal/testnet"
	"xrx/umem"
	"xrx/xsk"
)

// receiver is a socket on b0 with one poll's worth of chunks: as much of a receiver as the metadata needs.
type receiver struct {
	t      *testing.T
	socket *xsk.Socket
	memory []byte
}

// newReceiver loads, attaches and binds in end B.
func newReceiver(t *testing.T, n *testnet.Net, opts bpf.Options, mode bpf.Mode) (r *receiver, p *bpf.Program, a *bpf.Attachment) {
	t.Helper()
	n.InB(func() {
		p = load(t, opts)
		var err error
		a, err = p.Attach(n.B.Index, mode)
		must(t, err)
		u, err := umem.New(umem.Config{Frames: 64})
		must(t, err)
		t.Cleanup(func() { must(t, u.Close()) })
		s, err := xsk.Open(xsk.Config{Umem: u, IfIndex: n.B.Index, Iface: n.B.Iface, FillSize: 64, RxSize: 64})
		must(t, err)
		t.Cleanup(func() { must(t, s.Close()) })
		slots := s.Fill.Reserve(32)
		for i := range slots {
			slots[i] = uint64(i * u.Config().ChunkSize)
		}
		s.Fill.Advance(len(slots))
		s.Fill.Submit()
		_, err = s.Bind(xsk.Copy, false)
		must(t, err)
		must(t, p.Register(0, s.FD()))
		r = &receiver{t: t, socket: s, memory: u.Memory()}
	})
	return r, p, a
}

// next waits for a packet and returns it with the 20 bytes in front of it.
func (r *receiver) next() (before, packet []byte) {
	r.t.Helper()
	var desc xsk.Desc
	eventually(r.t, "a packet", func() bool {
		descs := r.socket.Rx.Peek(1)
		if len(descs) == 0 {
			return false
		}
		desc = descs[0]
		r.socket.Rx.Advance(1)
		r.socket.Rx.Release()
		return true
	})
	return r.memory[desc.Addr-20 : desc.Addr], r.memory[desc.Addr:][:desc.Len]
}

// send writes a frame to an interface of end A.
func send(t *testing.T, n *testnet.Net, ifindex int, frame []byte) {
	t.Helper()
	n.InA(func() {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		defer unix.Close(fd)
		must(t, unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifindex}))
	})
}

// tagBeside gives every frame sent from an interface a VLAN tag that isn't in its bytes, as when a NIC took it off: the
// stack keeps a tag so until a device without VLAN offload needs it written, and veth doesn't (skb_vlan_push in
// net/core/skbuff.c at v6.18).
func tagBeside(t *testing.T, ifindex int, tpid, tci uint16) {
	t.Helper()
	network := tpid<<8 | tpid>>8
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS,
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R2, int32(network)),
			asm.Mov.Imm(asm.R3, int32(tci)),
			asm.FnSkbVlanPush.Call(),
			asm.Mov.Imm(asm.R0, -1), // go on (TCX_NEXT)
			asm.Return(),
		},
		License: "Dual BSD/GPL",
	})
	must(t, err)
	t.Cleanup(func() { prog.Close() })
	l, err := link.AttachTCX(link.TCXOptions{Interface: ifindex, Program: prog, Attach: ebpf.AttachTCXEgress})
	if errors.Is(err, ebpf.ErrNotSupported) {
		t.Skipf("no way to tag frames: %v", err)
	}
	must(t, err)
	t.Cleanup(func() { l.Close() })
}

// TestMetadataOverVeth is the whole way: driver, program, kfuncs, socket.
func TestMetadataOverVeth(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	udp, icmp := ipv4(pad(100)), ipv4(proto(1), pad(100))
	const q, ad = 0x8100, 0x88a8
	plain := func(m *umem.Meta) {}
	hw := func(m *umem.Meta) { m.Hash, m.Flags = 0, m.Flags|umem.HashHW|umem.HashL4 } // the value is veth's own
	tests := []struct {
		name   string
		mode   bpf.Mode
		hints  bool
		beside uint16 // TPID of a tag that travels beside the packet; 0: none
		frame  []byte
		change func(*umem.Meta)
	}{
		{"native", bpf.Native, false, 0, udp, plain},
		{"native, tag in the packet", bpf.Native, false, 0, vlan(0x8100, 9, udp), func(m *umem.Meta) {}},
		{"generic", bpf.Generic, false, 0, udp, plain},
		{"hints, the hash of ports", bpf.Native, true, 0, udp, hw},
		{"hints, no L4 hash of ICMP: ours", bpf.Native, true, 0, icmp, plain},
		{"hints, 802.1Q beside the packet", bpf.Native, true, q, udp, func(m *umem.Meta) {
			hw(m)
			m.VLANTCI, m.Flags = 0x6064, m.Flags|umem.VLANHW
		}},
		{"hints, 802.1ad beside the packet", bpf.Native, true, ad, icmp, func(m *umem.Meta) {
			m.VLANTCI, m.Flags = 0x6064, m.Flags|umem.VLANHW|umem.VLANAD
		}},
		{"hints, 802.1ad beside the packet and 802.1Q in it", bpf.Native, true, ad, vlan(0x8100, 9, icmp), func(m *umem.Meta) {
			m.VLANTCI, m.Flags = 0x6064, m.Flags|umem.VLANHW|umem.VLANAD
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := testnet.New(t, testnet.Options{})
			if test.beside != 0 {
				n.InA(func() { tagBeside(t, n.A.Index, test.beside, 0x6064) })
			}
			opts := bpf.Options{}
			if test.hints {
				opts = bpf.Options{HWMeta: true, HWHash: true, IfIndex: n.B.Index}
			}
			r, p, a := newReceiver(t, n, opts, test.mode)
			if a.Mode() != test.mode || a.HWMeta() != test.hints {
				t.Fatalf("%v, hardware metadata %t, after %v", a.Mode(), a.HWMeta(), a.Attempts())
			}
			want := expect(test.frame, false, 0).meta
			test.change(&want)

			send(t, n, n.A.Index, test.frame)
			before, packet := r.next()
			if string(packet) != string(test.frame) {
				t.Errorf("packet\n% x, sent\n% x", packet, test.frame)
			}
			if stamp := binary.LittleEndian.Uint64(before); stamp != 0 {
				t.Errorf("timestamp %#x where veth has none", stamp)
			}
			got := decode(t, before[8:])
			if got.Hash == 0 {
				t.Error("no hash")
			}
			if want.Hash == 0 {
				got.Hash = 0
			}
			if got != want {
				t.Errorf("metadata\n%+v, want\n%+v", got, want)
			}
			c, err := p.Counters()
			must(t, err)
			if c.Total[bpf.Redirected] == 0 || c.Total[bpf.MetaRefused] != 0 {
				t.Errorf("counted %v", c.Total)
			}
		})
	}
}

// TestPassingProgramServesIPLinkToo: the committed object works without xrx.
func TestPassingProgramServesIPLinkToo(t *testing.T) {
	testnet.Require(t, "root", "veth", "cmd:ip")
	n := testnet.New(t, testnet.Options{})
	object, err := filepath.Abs("xrxpass_bpfel.o")
	must(t, err)
	n.Exec(n.A, "ip", "link", "set", "dev", n.A.Iface, "xdpdrv", "obj", object, "sec", "xdp.frags")
	n.InA(func() {
		if id, mode := attached(t, n.A.Index); id == 0 || mode != bpf.Native {
			t.Errorf("program %d in %v mode", id, mode)
		}
	})
}
