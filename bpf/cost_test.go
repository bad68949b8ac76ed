package bpf_test

import (
	"testing"

	"xrx/bpf"
	"xrx/internal/testnet"
)

// BenchmarkCost prints ns per packet on the softirq's core, as BPF_PROG_TEST_RUN measures it.
func BenchmarkCost(b *testing.B) {
	testnet.Require(b, "root", "afxdp")
	packets := []struct {
		name string
		data []byte
	}{
		{"UDP 64 B", ipv4(proto(17), pad(64))},
		{"TCP 1500 B", ipv4(proto(6), pad(1514))},
		{"VLAN UDP 64 B", vlan(0x8100, 5, ipv4(proto(17), pad(60)))},
		{"TCP over IPv6 1500 B", ipv6(6, pad(1514))},
		{"TCP 9000 B in buffers", whole(ipv4(proto(6), pad(9014)), 0)},
		{"ARP 64 B", ether(0x0806, make([]byte, 50))},
	}
	b.Run("nothing: a program that passes", func(b *testing.B) {
		p, err := bpf.LoadPass()
		must(b, err)
		defer p.Close()
		_, d, err := p.Benchmark(packets[0].data, b.N, nil)
		must(b, err)
		b.ReportMetric(float64(d.Nanoseconds()), "ns/op")
	})
	run := func(name string, opts bpf.Options, register bool) {
		for _, pkt := range packets {
			b.Run(name+"/"+pkt.name, func(b *testing.B) {
				p, err := bpf.LoadUndoing(opts)
				if err != nil {
					b.Fatal(err)
				}
				defer p.Close()
				if register {
					if err := p.Register(0, openSocket(b, "lo").FD()); err != nil {
						b.Fatal(err)
					}
				}
				b.ResetTimer()
				_, d, err := p.Prog().Benchmark(pkt.data, b.N, nil)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(d.Nanoseconds()), "ns/op")
				c, err := p.Counters()
				must(b, err)
				if c.Total[bpf.MetaRefused]+c.Total[bpf.TooShort]+c.Total[bpf.Truncated] != 0 || (c.Total[bpf.Redirected] > 0) != register {
					b.Errorf("not what was to be measured: %v", c.Total)
				}
			})
		}
	}
	run("redirect", bpf.Options{}, true)
	run("symmetric", bpf.Options{Symmetric: true}, true)
	run("no metadata", bpf.Options{NoMeta: true}, true)
	run("no socket", bpf.Options{}, false)
}
