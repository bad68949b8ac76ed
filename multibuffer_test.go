package xrx_test

import (
	"bytes"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/bpf"
	"xrx/internal/frames"
	"xrx/internal/testnet"
)

func TestJumboFramesArriveWholeOverSeveralBuffers(t *testing.T) {
	testnet.Require(t, "root", "veth")
	for _, mtu := range []int{1500, 3000, 9000} {
		for _, chunk := range []int{2048, 4096} {
			for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
				t.Run(fmt.Sprintf("mtu %d chunk %d %s", mtu, chunk, mode), func(t *testing.T) {
					n := testnet.New(t, testnet.Options{MTU: mtu})
					r := open(t, n, &xrx.Config{Attach: mode, ChunkSize: chunk, MultiBuffer: xrx.MultiBufferOn})
					payload := make([]byte, mtu)
					for i := range payload {
						payload[i] = byte(i * 11)
					}
					const count = 2000
					frame := func(b []byte, i int) []byte {
						f := frames.UDP(addrPort(n.A.IP4, uint16(1+i)), addrPort(n.B.IP4, 9), payload[:(i*37)%(mtu-28)])
						f.SrcMAC, f.DstMAC, f.Pad = n.A.MAC, n.B.MAC, true
						return f.Append(b)
					}
					var got atomic.Uint64
					var want, have []byte
					bad, chains := 0, 0
					x := run(t, r, xrx.Handler(func(p xrx.Packet) {
						want, have = frame(want[:0], int(got.Load())), p.Bytes(have[:0])
						if !bytes.Equal(want, have) || p.Len() != len(want) || p.Meta().Kind != 1 {
							bad++
						}
						if p.IsChain() {
							chains++
						}
						got.Add(1)
					}))
					s := sender(t, n)
					for i := 0; i < count; i++ {
						for deadline := time.Now().Add(5 * time.Second); uint64(i) > got.Load()+64; runtime.Gosched() {
							if time.Now().After(deadline) {
								t.Fatalf("%d sent, %d arrived", i, got.Load())
							}
						}
						if _, err := s.Send([][]byte{frame(nil, i)}); err != nil {
							t.Fatal(err)
						}
					}
					eventually(t, 5*time.Second, "all frames arrive", func() bool { return got.Load() == count })
					if err := x.end(); err != nil {
						t.Fatal(err)
					}
					q := r.Snapshot().Queues[0]
					if bad > 0 || len(q.Drops) > 0 || q.Kernel.Lost() > 0 {
						t.Errorf("%d frames differ, drops %v, kernel %+v", bad, q.Drops, q.Kernel)
					}
					if wantChains := mtu+14 > chunk-448; (chains > 0) != wantChains {
						t.Errorf("%d packets in several buffers", chains)
					}
				})
			}
		}
	}
}
