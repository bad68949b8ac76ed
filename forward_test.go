package xrx_test

import (
	"testing"

	"xrx"
	"xrx/gro"
	"xrx/internal/testnet"
)

func TestForwardedFramesArriveByteForByteAndInTheOrderOfTheirFlow(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	count := uint64(100_000)
	if testing.Short() {
		count = 10_000
	}
	for _, c := range []struct {
		name string
		cfg  xrx.ForwardConfig
	}{
		{"GRO on", xrx.ForwardConfig{Config: xrx.Config{GRO: &gro.Config{Profile: gro.Linux618, UDPPorts: []uint16{trafficPort}}}}},
		{"GRO off", xrx.ForwardConfig{}},
		{"GRO on, MACs swapped, one way", xrx.ForwardConfig{OneWay: true, SwapMAC: true, Config: xrx.Config{GRO: &gro.Config{UDPPorts: []uint16{trafficPort}}}}},
		{"lists of UDP", xrx.ForwardConfig{Config: xrx.Config{GRO: &gro.Config{UDPPorts: []uint16{trafficPort}, List: gro.ListUDP}}}},
		{"unaligned chunks", xrx.ForwardConfig{Config: xrx.Config{Unaligned: true, ChunkSize: 3000, GRO: &gro.Config{}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, testnet.Options{}, false)
			f := w.forward(t, nearIface, &c.cfg)
			k := newCapture(t, w.C, newTraffic(w.Net), count, c.cfg.SwapMAC)
			x := runForward(t, f)
			k.send(t, sender(t, w.Net), 0, count, 192)
			eventually(t, vethPatience, "everything arrives", func() bool { return k.got.Load() >= count })
			x.ended(f)
			k.close()
			q := f.Snapshot(0).Queues[0]
			if k.fault != nil {
				t.Error(k.fault)
			}
			if k.got.Load() != count || q.Packets != count || q.Tx.Packets != count || q.Tx.Completed != count || len(q.Drops) != 0 || len(q.Tx.Faults) != 0 || q.Tx.Invalid != 0 {
				t.Errorf("%d captured; %d received, sent %+v, dropped %v", k.got.Load(), q.Packets, q.Tx, q.Drops)
			}
			if c.cfg.GRO != nil && q.OutPackets > q.Packets*3/4 {
				t.Errorf("%d packets were forwarded as %d: GRO did not merge", q.Packets, q.OutPackets)
			}
			t.Logf("%d packets, forwarded as %d, %d polls, %d kicks, %d checksums completed; mode %v %s", q.Packets, q.OutPackets, q.Polls, q.Tx.Kicks, q.Tx.Checksums,
				f.Directions()[0].Mode, f.Directions()[0].Mode.Reason)
		})
	}
}
