package bpf_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"

	"xrx/bpf"
	"xrx/umem"
)

const (
	xdpPass     = 2
	xdpRedirect = 4
)

// xdpMD is struct xdp_md in include/uapi/linux/bpf.h, as BPF_PROG_TEST_RUN takes and gives it.
type xdpMD struct {
	Data, DataEnd, DataMeta                     uint32
	IngressIfindex, RxQueueIndex, EgressIfindex uint32
}

// run puts one packet through a program and returns its verdict and the metadata's bytes. The packet must come out as it went in.
func run(t testing.TB, prog *ebpf.Program, packet []byte) (verdict uint32, meta []byte) {
	t.Helper()
	var after xdpMD
	before := xdpMD{DataEnd: uint32(len(packet))}
	opts := ebpf.RunOptions{Data: packet, Context: before, DataOut: make([]byte, len(packet)+64), ContextOut: &after}
	verdict, err := prog.Run(&opts)
	if err != nil {
		t.Fatal(err)
	}
	size := after.Data - after.DataMeta
	if !bytes.Equal(opts.DataOut[size:], packet) {
		t.Fatalf("the packet was changed:\n% x\n% x", packet, opts.DataOut[size:])
	}
	return verdict, opts.DataOut[:size]
}

// decode reads kind 1 metadata by the offsets that are agreed on with the receiver.
func decode(t testing.TB, b []byte) (m umem.Meta) {
	t.Helper()
	if len(b) != 12 || b[11] != 0x13 {
		t.Fatalf("metadata % x is not kind 1", b)
	}
	return umem.Meta{
		Kind: 1, Hash: binary.LittleEndian.Uint32(b), VLANTCI: binary.LittleEndian.Uint16(b[4:]), Flags: umem.MetaFlags(b[6]),
		L3: b[7], L3Off: b[8], L4Off: b[9], L4Proto: b[10],
	}
}

// counted runs f and returns what the program counted meanwhile.
func counted(t testing.TB, p *bpf.Program, f func()) (c bpf.Counts) {
	t.Helper()
	before, err := p.Counters()
	if err != nil {
		t.Fatal(err)
	}
	f()
	after, err := p.Counters()
	if err != nil {
		t.Fatal(err)
	}
	for i := range c {
		c[i] = after.Total[i] - before.Total[i]
	}
	return c
}
