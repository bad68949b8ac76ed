package xrx_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"xrx/gro"
	"xrx/internal/frames"
	"xrx/internal/oracle"
	"xrx/internal/testnet"
)

// interleaved returns packets of flows in strict turns, each packets long: the worst order there is for a GRO that
// holds few flows. Every third flow is IPv6. The source port is the flow's number.
func interleaved(flows, packets, size int) (list [][]byte) {
	for i := range packets {
		for n := range flows {
			src, dst := netip.AddrFrom4([4]byte{10, 11, 0, 1}), netip.AddrFrom4([4]byte{10, 11, 0, 2})
			if n%3 == 2 {
				src, dst = netip.MustParseAddr("fd00:11::1"), netip.MustParseAddr("fd00:11::2")
			}
			payload := make([]byte, size)
			for at := range payload {
				payload[at] = byte(n*31 + i*7 + at)
			}
			f := frames.TCP(addrPort(src, uint16(n+1)), addrPort(dst, 9), uint32(i*size), payload)
			f.SrcMAC, f.DstMAC, f.ID = []byte{2, 0, 0, 0, 0, 0x0a}, []byte{2, 0, 0, 0, 0, 0x7f}, uint16(i)
			list = append(list, f.Append(nil))
		}
	}
	return list
}

// whole returns the one packet per flow that interleaved's would best become.
func whole(flows, packets, size int) (want map[string]int) {
	want = map[string]int{}
	list := interleaved(flows, packets, size)
	for n := range flows {
		var stream []byte
		for i := range packets {
			b := list[i*flows+n]
			stream = append(stream, b[len(b)-size:]...)
		}
		want[string(binary.BigEndian.AppendUint16(nil, uint16(n+1)))+string(stream)] = packets
	}
	return want
}

// The kernel holds 8 flows on a device without a hardware hash (L4, F1), so a ninth in turn makes it merge nothing. The
// receiver's own table holds as many as it is told, 1024 by default.
func TestMoreFlowsThanTheKernelHoldsAllCoalesce(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const size = 500
	k, o := newKernelSide(t), newOwnSide(t, gro.Config{Profile: gro.Linux618}, 1<<14)
	var table strings.Builder
	fmt.Fprintf(&table, "%6s %8s %8s | %10s %14s | %10s\n", "flows", "packets", "frames", "xrx: out", "packets in 1", "kernel: out")
	for _, c := range []struct{ flows, packets, kernel int }{
		{8, 6, 8},     // deliveries expected of the kernel
		{9, 6, 9 * 6}, // it evicts each flow just before its next packet
		{64, 3, 64 * 3},
		{1000, 4, 0}, // more than a veth's ring holds for a NAPI poll to come (256): not asked
	} {
		list := interleaved(c.flows, c.packets, size)
		got := o.deliver(list)
		want := whole(c.flows, c.packets, size)
		for _, r := range got {
			at := 34
			if r.Data[12] == 0x86 {
				at = 54
			}
			key := string(r.Data[at:at+2]) + string(r.Data[at+20:])
			if want[key] != r.Segs || r.GSOSize != size {
				t.Errorf("%d flows: delivered %v", c.flows, r)
			}
			delete(want, key)
		}
		if len(got) != c.flows || len(want) != 0 {
			t.Errorf("%d flows: %d deliveries, %d flows missing or in pieces", c.flows, len(got), len(want))
		}
		if n := o.r.Snapshot().Queues[0].GRO["evicted"]; n != 0 {
			t.Errorf("%d flows: %d evictions", c.flows, n)
		}
		kernel := "not asked"
		if c.kernel > 0 {
			n := k.evicts(list, c.kernel)
			if kernel = fmt.Sprint(n); n != c.kernel {
				t.Errorf("%d flows: the kernel delivered %d packets, want %d", c.flows, n, c.kernel)
			}
		}
		fmt.Fprintf(&table, "%6d %8d %8d | %10d %14.1f | %10s\n", c.flows, c.packets, len(list), len(got), float64(len(list))/float64(max(1, len(got))), kernel)
	}
	t.Logf("packets of all flows in turns\n%s", table.String())
	q := o.r.Snapshot().Queues[0]
	if q.Kernel.Lost() != 0 || q.GROIn != q.OutSegments {
		t.Errorf("kernel %+v, %d packets went into GRO and %d came out", q.Kernel, q.GROIn, q.OutSegments)
	}
}

// evicts returns how many packets the kernel makes of the list: of want, if it ever does (see tries).
func (k *kernelSide) evicts(list [][]byte, want int) (n int) {
	for range tries {
		got, err := k.deliverAny(list)
		if err != nil {
			k.t.Fatalf("%v\n%s", err, oracle.List(got))
		}
		if n = len(got); n == want {
			break
		}
	}
	return n
}
