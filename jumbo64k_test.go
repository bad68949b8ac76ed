package xrx_test

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/bpf"
	"xrx/gro"
	"xrx/internal/frames"
	"xrx/internal/testnet"
	"xrx/umem"
)

// The longest packet of a veth is 14 + 65535 bytes: 18 chunks of 4096, 26 of 3000, 41 of 2048. That is more than
// MAX_SKB_FRAGS (17), which bounds skbs and XDP buffers in pages of their own: the copy into the UMEM makes its own cuts
// (xsk_copy_xdp in net/xdp/xsk.c, v6.18).
func TestFramesOfUpTo64KiBArriveWholeOverAsManyChunksAsTheyNeed(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const mtu, count = 65535, 300
	n := testnet.New(t, testnet.Options{MTU: mtu})
	for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
		for _, shape := range []xrx.Config{{ChunkSize: 2048}, {ChunkSize: 4096}, {ChunkSize: 3000, Unaligned: true}} {
			for _, merge := range []*gro.Config{nil, {}} {
				t.Run(fmt.Sprintf("%v, chunks of %d, gro %v", mode, shape.ChunkSize, merge != nil), func(t *testing.T) {
					cfg := shape
					cfg.Attach, cfg.GRO = mode, merge
					usable := cfg.ChunkSize - umem.DefaultHeadroom - 256
					r := open(t, n, &cfg)
					payload := make([]byte, mtu)
					for i := range payload {
						payload[i] = byte(i*11 + i>>8)
					}
					sizes := []int{64, usable, usable + 1, 17*usable - 1, 17 * usable, 17*usable + 1, 65549, 1514, 65548, 40000}
					frame := func(b []byte, i int) []byte {
						size := min(sizes[i%len(sizes)], mtu+14)
						f := frames.UDP(addrPort(n.A.IP4, uint16(1+i)), addrPort(n.B.IP4, 9), payload[:max(0, size-42)])
						f.SrcMAC, f.DstMAC, f.Pad = n.A.MAC, n.B.MAC, true
						return f.Append(b)
					}
					var got atomic.Uint64
					var want, have []byte
					bad, most := 0, 0
					x := run(t, r, xrx.Handler(func(p xrx.Packet) {
						want, have = frame(want[:0], int(got.Load())), p.Bytes(have[:0])
						if !bytes.Equal(want, have) || p.Len() != len(want) || p.Meta().Kind != 1 {
							bad++
						}
						buffers := 0
						for range p.Segments() {
							buffers++
						}
						if buffers != (len(want)+usable-1)/usable {
							bad++
						}
						most = max(most, buffers)
						got.Add(1)
					}))
					windowed(t, sender(t, n), count, 16, func(b []byte, i uint64) []byte { return frame(b, int(i)) }, got.Load)
					eventually(t, 10*time.Second, "all frames arrive", func() bool { return got.Load() == count })
					if err := x.end(); err != nil {
						t.Fatal(err)
					}
					q := r.Snapshot().Queues[0]
					if bad > 0 || len(q.Drops) > 0 || q.Kernel.Lost() > 0 || q.Ledger.Lost != 0 {
						t.Errorf("%d frames differ, drops %v, kernel %+v, %v", bad, q.Drops, q.Kernel, q.Ledger)
					}
					if want := (mtu + 14 + usable - 1) / usable; most != want || most <= 17 {
						t.Errorf("the longest packet was in %d chunks, want %d", most, want)
					}
				})
			}
		}
	}
}

// Segments of 8948 bytes of payload, each a chain of several chunks, are merged up to the longest IP packet.
func TestChainsOfJumboSegmentsAreMerged(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const mtu, each, bursts = 9000, 7, 40
	n := testnet.New(t, testnet.Options{MTU: mtu})
	for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			r := open(t, n, &xrx.Config{Attach: mode, GRO: &gro.Config{Flush: 50 * time.Millisecond}})
			var got, packets, bytesOf atomic.Uint64
			var whole []byte
			next, bad := uint32(0), 0
			payload := make([]byte, mtu-40)
			for i := range payload {
				payload[i] = byte(i*13 + i>>8)
			}
			x := run(t, r, xrx.Handler(func(p xrx.Packet) {
				whole = p.Bytes(whole[:0])
				seq := uint32(whole[38])<<24 | uint32(whole[39])<<16 | uint32(whole[40])<<8 | uint32(whole[41])
				body := whole[54:]
				if seq != next || len(body) != p.Count()*len(payload) {
					bad++
				}
				for len(body) > 0 {
					k := min(len(body), len(payload))
					if !bytes.Equal(body[:k], payload[:k]) {
						bad++
					}
					body = body[k:]
				}
				next = seq + uint32(len(whole)-54)
				packets.Add(1)
				bytesOf.Add(uint64(len(whole) - 54))
				got.Add(uint64(p.Count()))
			}))
			windowed(t, sender(t, n), each*bursts, 56, func(b []byte, i uint64) []byte {
				f := frames.Frame{SrcMAC: n.A.MAC, DstMAC: n.B.MAC, Src: n.A.IP4, Dst: n.B.IP4, Proto: frames.ProtoTCP, SrcPort: 1, DstPort: 2,
					Fragment: 0x4000, ID: uint16(i), Flags: frames.ACK, Ack: 1, Window: 512, Seq: uint32(i) * uint32(len(payload)), Payload: payload}
				return f.Append(b)
			}, got.Load)
			eventually(t, 10*time.Second, "all segments have arrived", func() bool { return got.Load() == each*bursts })
			if err := x.end(); err != nil {
				t.Fatal(err)
			}
			if bad != 0 || bytesOf.Load() != uint64(each*bursts*len(payload)) {
				t.Errorf("%d packets are not what was sent, %d bytes", bad, bytesOf.Load())
			}
			if packets.Load() > each*bursts/2 {
				t.Errorf("%d segments became %d packets: chains are not merged", each*bursts, packets.Load())
			}
			if q := r.Snapshot().Queues[0]; len(q.Drops) > 0 || q.Kernel.Lost() > 0 || q.Ledger.Lost != 0 {
				t.Errorf("drops %v, kernel %+v, %v", q.Drops, q.Kernel, q.Ledger)
			}
		})
	}
}
