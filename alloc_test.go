package xrx_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/gro"
	"xrx/internal/frames"
	"xrx/internal/gen"
	"xrx/internal/testnet"
)

// mallocs returns how many objects the process has ever allocated.
func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// heap returns the bytes of live objects.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one finalized
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestReceivingAllocatesNothing(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const warmup, packets = 20_000, 200_000
	consumers := map[string]func(*atomic.Uint64) xrx.Consumer{
		"Handler": func(n *atomic.Uint64) xrx.Consumer {
			return xrx.Handler(func(p xrx.Packet) {
				if m := p.Meta(); m.Kind == 1 && p.Data()[12] == 8 {
					n.Add(uint64(p.Count()))
				}
			})
		},
		"Handler that retains": func(n *atomic.Uint64) xrx.Consumer {
			return xrx.Handler(func(p xrx.Packet) {
				p.Retain()
				n.Add(uint64(p.Count()))
				p.Release()
			})
		},
		"Mux with a tap that keeps": func(n *atomic.Uint64) xrx.Consumer {
			m := new(xrx.Mux)
			m.TCP(80, func(p xrx.Packet) { n.Add(uint64(p.Count())) })
			m.Tap("keeper", 64, func(t *xrx.Tap, p xrx.Packet) {
				if k, ok := t.Keep(p); ok {
					k.Release()
				}
			})
			return m
		},
		"BatchHandler": func(n *atomic.Uint64) xrx.Consumer {
			return xrx.BatchHandler(func(batch []xrx.Packet) {
				for _, p := range batch {
					for s := range p.Segments() {
						if len(s) == 0 {
							return
						}
					}
					n.Add(uint64(p.Count()))
				}
				xrx.Release(batch)
			})
		},
	}
	for name, consumer := range consumers {
		for _, merge := range []*gro.Config{nil, {}, {Flush: time.Millisecond}} {
			title := name + ", GRO off"
			if merge != nil {
				title = fmt.Sprintf("%s, GRO flushed after %v", name, merge.Flush)
			}
			t.Run(title, func(t *testing.T) {
				n := testnet.New(t, testnet.Options{})
				r := open(t, n, &xrx.Config{GRO: merge})
				var arrived atomic.Uint64
				x := run(t, r, consumer(&arrived))
				list := segments(n, 4, 16)
				s := sender(t, n)
				send := func(count uint64) {
					before := arrived.Load()
					windowed(t, s, count, maxWindow, func(b []byte, i uint64) []byte { return append(b, list[i%uint64(len(list))]...) },
						func() uint64 { return arrived.Load() - before })
					eventually(t, 5*time.Second, "all packets are delivered", func() bool { return arrived.Load() >= before+count })
				}
				send(warmup)
				before := mallocs()
				send(packets)
				each := float64(mallocs()-before) / packets
				if err := x.end(); err != nil {
					t.Fatal(err)
				}
				q := r.Snapshot().Queues[0]
				// What is allocated by the second, not by the packet (timers, the runtime's own), counts for more where the race
				// detector makes a packet take ten times as long.
				bound := 0.001
				if testnet.Race {
					bound *= 10
				}
				if each >= bound {
					t.Errorf("%.4f allocations per packet, want less than %v", each, bound)
				}
				if (merge != nil) != (q.OutPackets < q.Packets/2) || q.OutSegments != warmup+packets || q.Kernel.Lost() != 0 {
					t.Errorf("%d packets in, %d out with %d segments, kernel %+v", q.Packets, q.OutPackets, q.OutSegments, q.Kernel)
				}
				t.Logf("%.5f allocations per packet, %d packets in, %d out", each, q.Packets, q.OutPackets)
			})
		}
	}
}

// segments are TCP flows, each with the same number of segments in order, one flow after the other.
func segments(n *testnet.Net, flows, each int) (list [][]byte) {
	payload := make([]byte, 400)
	for flow := range flows {
		for i := range each {
			f := frames.TCP(addrPort(n.A.IP4, uint16(1000+flow)), addrPort(n.B.IP4, 80), uint32(i*len(payload)), payload)
			f.SrcMAC, f.DstMAC, f.ID, f.Fragment = n.A.MAC, n.B.MAC, uint16(i), 0x4000
			list = append(list, f.Append(nil))
		}
	}
	return list
}

// XRX_LONG=1 makes it the hundred million packets of the project's promise: about half a minute.
func TestTheHeapStaysFlatOverMillionsOfLiveFrames(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const warmup = 200_000
	total := uint64(2_000_000)
	if os.Getenv("XRX_LONG") != "" {
		total = 100_000_000
	}
	n := testnet.New(t, testnet.Options{})
	last := runtime.NumCPU() - 1
	r := open(t, n, &xrx.Config{CPUs: []int{last}})
	var arrived atomic.Uint64
	x := run(t, r, xrx.Handler(func(p xrx.Packet) { arrived.Add(1) }))
	objects := uint64(0) // allocated while frames were being sent
	send := func(count uint64) gen.Result {
		var result gen.Result
		n.InA(func() {
			e, err := gen.Open(gen.Live, gen.Stream{SrcMAC: n.A.MAC, DstMAC: n.B.MAC, Src: n.A.IP4, Dst: n.B.IP4},
				gen.Options{Iface: n.A.Iface, Count: count, CPUs: []int{0}})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			before := mallocs()
			defer func() { objects += mallocs() - before }()
			if result, err = e.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
		})
		return result
	}
	kernelLost := func() uint64 {
		k, err := r.KernelStats()
		if err != nil {
			t.Fatal(err)
		}
		return k.RxDropped + k.RxRingFull
	}
	// settled waits until every frame sent is accounted for: delivered, or lost by name.
	sent, dropped := uint64(0), uint64(0)
	settled := func(g gen.Result) {
		sent, dropped = sent+g.Frames, dropped+g.Dropped
		eventually(t, 5*time.Second, "every frame is delivered or lost by name", func() bool { return arrived.Load()+kernelLost()+dropped >= sent })
	}
	settled(send(warmup))
	live := heap()
	began, before, sentBefore, rounds := time.Now(), arrived.Load(), sent, 0
	objects = 0
	for ; arrived.Load()-before < total; rounds++ { // until so many have arrived: at full speed some are lost
		so := arrived.Load()
		settled(send(max(total-(so-before), 100_000)))
		if arrived.Load() == so {
			t.Fatal("of a whole round no packet has arrived")
		}
	}
	took, got := time.Since(began), arrived.Load()-before
	grown := int64(heap()) - int64(live)
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	if arrived.Load()+kernelLost()+dropped != sent {
		t.Errorf("%d sent, %d delivered, %d lost by the kernel, %d dropped on the way", sent, arrived.Load(), kernelLost(), dropped)
	}
	// A call of the generator allocates some 85 objects, whatever it sends.
	if grown > 256<<10 || float64(objects) > 0.0001*float64(got)+200*float64(rounds) {
		t.Errorf("after %d packets the heap has grown by %d bytes, with %d allocations", got, grown, objects)
	}
	t.Logf("%d packets of %d sent, %d rounds in %v (%.2f Mpps): heap %+d bytes, %d allocations",
		got, sent-sentBefore, rounds, took.Round(time.Millisecond), float64(got)/took.Seconds()/1e6, grown, objects)
}
