package bpf_test

import (
	"fmt"
	"testing"

	"xrx/bpf"
	"xrx/internal/testnet"
)

// BenchmarkMatch prints ns per packet of the whole program, as BPF_PROG_TEST_RUN measures it, by expression: redirected
// where it holds, passed where it doesn't. What an expression costs is the difference to the line without one.
func BenchmarkMatch(b *testing.B) {
	testnet.Require(b, "root", "afxdp")
	udp4, udp6 := ipv4(pad(64)), ipv6(17, pad(64))
	kinds := []struct {
		name string
		expr func(terms int) string
	}{
		{"ports", func(n int) string { return repeated(n, " or ", "udp port #") }},
		{"hosts, IPv4", func(n int) string { return repeated(n, " or ", "host 10.0.0.#") }},
		{"hosts, IPv6", func(n int) string { return repeated(n, " or ", "host 2001:db8::@") }},
		{"port ranges", func(n int) string { return repeated(n, " or ", "udp portrange #-399") }},
	}
	for _, packet := range []struct {
		name string
		data []byte
	}{{"UDP", udp4}, {"UDP over IPv6", udp6}} {
		measure(b, packet.name+"/no expression", bpf.Options{}, packet.data, true)
		for _, k := range kinds {
			for _, terms := range []int{1, 10, 100} {
				s := k.expr(terms)
				for _, holds := range []bool{false, true} {
					name := fmt.Sprintf("%s/%s/%d/passed", packet.name, k.name, terms)
					e := s
					if holds { // after all the others
						name = fmt.Sprintf("%s/%s/%d/redirected", packet.name, k.name, terms)
						e = "not (" + s + ")"
					}
					measure(b, name, bpf.Options{Match: parsed(b, e)}, packet.data, holds)
				}
			}
		}
	}
}

// measure runs one packet through the program as often as the benchmark wants.
func measure(b *testing.B, name string, opts bpf.Options, packet []byte, redirected bool) {
	b.Run(name, func(b *testing.B) {
		p, err := bpf.LoadUndoing(opts)
		must(b, err)
		defer p.Close()
		must(b, p.Register(0, openSocket(b, "lo").FD()))
		b.ResetTimer()
		_, d, err := p.Prog().Benchmark(packet, b.N, nil)
		must(b, err)
		b.ReportMetric(float64(d.Nanoseconds()), "ns/op")
		c, err := p.Counters()
		must(b, err)
		if (c.Total[bpf.Redirected] > 0) != redirected || (c.Total[bpf.NotMatched] > 0) == redirected {
			b.Errorf("not what was to be measured: %v", c.Total)
		}
	})
}
