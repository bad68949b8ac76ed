package gen_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"xrx/internal/gen"
	"xrx/internal/testnet"
)

// BenchmarkEngines sends into a receiver that drops all in XDP: the engines'
// own speed. One operation is one frame.
func BenchmarkEngines(b *testing.B) {
	testnet.Require(b, "root", "veth", "afxdp")
	for _, engine := range []string{gen.Live, gen.XSK, gen.Packet} {
		for _, c := range []struct {
			name  string
			tcp   bool
			flows int
			sizes []int
		}{
			{"UDP 64 B", false, 1, []int{64}},
			{"UDP 64 B, 256 flows", false, 256, []int{64}},
			{"UDP 1500 B", false, 1, []int{1500}},
			{"TCP 1514 B, 4 flows", true, 4, []int{1514}},
			{"UDP 60..1514 B", false, 16, gen.Range(60, 1514)},
		} {
			b.Run(fmt.Sprintf("%s/%s", engine, c.name), func(b *testing.B) {
				n := testnet.New(b, testnet.Options{})
				drop(b, n)
				s := stream(n, c.tcp, false)
				s.Flows, s.Sizes = c.flows, c.sizes
				// cpu 0 also does the receiving side's work.
				o := gen.Options{Iface: n.A.Iface, Count: uint64(b.N)}
				if runtime.NumCPU() > 1 {
					o.CPUs = []int{0}
				}
				var e *gen.Engine
				var r gen.Result
				var err error
				n.InA(func() {
					if e, err = gen.Open(engine, s, o); err != nil {
						b.Fatal(err)
					}
					defer e.Close()
					b.ResetTimer()
					r, err = e.Run(context.Background())
				})
				if err != nil || r.Frames != uint64(b.N) {
					b.Fatalf("%+v, %v", r, err)
				}
				if s, err := n.B.Stats(); err != nil || s.RxPackets != r.Frames || r.Dropped != 0 {
					b.Fatalf("%d frames arrived, %v; sent: %+v", s.RxPackets, err, r)
				}
				b.ReportMetric(r.PPS()/1e3, "kpps")
			})
		}
	}
}

// drop attaches a program to b0 that drops every frame.
func drop(b *testing.B, n *testnet.Net) {
	b.Helper()
	const xdpDrop = 1 // include/uapi/linux/bpf.h, enum xdp_action
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpDrop), asm.Return()},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { program.Close() })
	n.InB(func() {
		l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: n.B.Index, Flags: link.XDPDriverMode})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { l.Close() })
	})
}
