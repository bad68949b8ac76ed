package umem

import (
	"sync"
	"testing"
)

func TestPacketsReleasedTogetherGoHomeEachToItsPoolWithOnePush(t *testing.T) {
	u, err := New(Config{Frames: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	pools, err := u.Split(2)
	if err != nil {
		t.Fatal(err)
	}
	type packet struct {
		p   *Pool
		h   *Header
		gen uint32
	}
	deliver := func(p *Pool, n int) (out []packet) {
		slots := make([]uint64, n)
		p.Fill(slots)
		for _, a := range slots {
			h, f := p.Receive(a+uint64(u.PacketOffset()), 60)
			if f != NoFault {
				t.Fatal(f)
			}
			p.Deliver(h)
			out = append(out, packet{p, h, h.Gen()})
		}
		return out
	}
	for _, c := range []struct {
		name string
		a, b int // packets of either pool, in turn while there are any
		keep int // how many of pool 0's first are retained once more
	}{{"one packet", 1, 0, 0}, {"one pool", 9, 0, 0}, {"two pools in turn", 7, 5, 0}, {"some are still held", 8, 2, 3}, {"all are still held", 4, 0, 4}} {
		t.Run(c.name, func(t *testing.T) {
			a, b := deliver(pools[0], c.a), deliver(pools[1], c.b)
			for _, x := range a[:c.keep] {
				x.p.Retain(x.h, x.gen)
			}
			var wg sync.WaitGroup
			wg.Add(1)
			go func() {
				defer wg.Done()
				var home Returns
				for i := range max(c.a, c.b) {
					if i < c.a {
						home.Release(a[i].p, a[i].h, a[i].gen)
					}
					if i < c.b {
						home.Release(b[i].p, b[i].h, b[i].gen)
					}
				}
				home.Send()
				home.Send() // nothing twice
			}()
			wg.Wait()
			if got := pools[0].Reclaim(); got != c.a-c.keep {
				t.Errorf("%d packets came home to pool 0, want %d", got, c.a-c.keep)
			}
			if got := pools[1].Reclaim(); got != c.b {
				t.Errorf("%d packets came home to pool 1, want %d", got, c.b)
			}
			for _, x := range a[:c.keep] {
				x.p.Release(x.h, x.gen)
			}
			pools[0].Reclaim()
			for _, p := range pools {
				if l := p.Audit(); l.Free != l.Total || l.Lost != 0 {
					t.Errorf("ledger %v", l)
				}
			}
		})
	}
}
