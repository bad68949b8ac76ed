package xrx

import (
	"bytes"
	"testing"

	"xrx/internal/fakekernel"
	"xrx/umem"
	"xrx/xsk"
)

func TestAFrameOfAnotherQueuesPoolIsAFaultAndStaysWhereItIs(t *testing.T) {
	for name, merge := range merging {
		t.Run(name, func(t *testing.T) {
			mem, pools := fakekernel.NewUmem(t, umem.Config{Frames: 128}, 2)
			first, second := newBareOn(t, mem, pools[0], 32, merge), newBareOn(t, mem, pools[1], 32, merge)
			if h := mem.Frame(0); mem.State(h) != umem.Filling || mem.Pool(h) != pools[0] {
				t.Fatalf("frame 0 is %v", mem.State(h))
			}
			packet := plain(7, 200)
			first.arrive(t, packet) // lies in a frame of the first queue

			stray := xsk.Desc{Addr: uint64(mem.PacketOffset()), Len: 60} // frame 0, on the second queue's rx ring
			second.k.Produce(stray)
			own := plain(8, 300)
			second.arrive(t, own)
			second.k.Flush()
			second.Poll(bareBudget)
			second.expect(t, own)
			if d := second.snapshot().Drops; len(d) != 1 || d["descriptor_not_home"] != 1 {
				t.Errorf("drops %v, want one descriptor_not_home", d)
			}

			first.k.Flush()
			first.Poll(bareBudget)
			first.expect(t, packet)
			if d := first.snapshot().Drops; len(d) != 0 {
				t.Errorf("the queue whose frame it was dropped %v", d)
			}
		})
	}
}

func TestPacketsOfQueuesThatShareAUmemGoHomeToTheirOwnPoolWhoeverReleasesThem(t *testing.T) {
	mem, pools := fakekernel.NewUmem(t, umem.Config{Frames: 256}, 2)
	list := []*bare{newBareOn(t, mem, pools[0], 64, nil), newBareOn(t, mem, pools[1], 64, nil)}
	var kept []Packet
	for _, b := range list {
		b.handle, b.batch = nil, func(batch []Packet) { kept = append(kept, batch...) }
	}
	for round := range 20 {
		for i, b := range list {
			for k := range 10 {
				b.arrive(t, plain(100*i+k, 60+round))
			}
			b.k.Flush()
			b.Poll(bareBudget)
		}
		if len(kept) != 20 || pools[0].In(umem.Delivered) != 10 || pools[1].In(umem.Delivered) != 10 {
			t.Fatalf("%d packets kept: %v, %v", len(kept), pools[0].Counts(), pools[1].Counts())
		}
		for i, p := range kept {
			if want := plain(100*(i/10)+i%10, 60+round); !bytes.Equal(p.Data(), want) {
				t.Fatalf("packet %d is not what was sent", i)
			}
		}
		for i := range kept { // in an order of its own: queue 1, queue 0, queue 1, ..
			kept[(i*11+10)%20].Release()
		}
		kept = kept[:0]
		for _, b := range list {
			b.pool.Reclaim()
			b.balance(t, 0)
			if n := b.pool.In(umem.Delivered); n != 0 {
				t.Fatalf("%d frames did not come home", n)
			}
		}
	}
}
