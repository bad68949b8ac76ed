package xrx

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"xrx/internal/testnet"
	"xrx/umem"
)

// quiet keeps consumers' panics out of the test's output.
func quiet(b *bare) *bare {
	b.guard = guard{name: "consumer", log: &panicLog{hook: func(*PanicError) {}}}
	return b
}

func (b *bare) arriveAndPoll(t *testing.T, packets ...[]byte) {
	t.Helper()
	b.arrive(t, packets...)
	b.k.Flush()
	for b.Poll(bareBudget) > 0 {
	}
	b.pool.Reclaim()
}

func numbered(n int) (list [][]byte) {
	for i := range n {
		list = append(list, plain(i, 60))
	}
	return list
}

func TestAHandlerThatPanicsLosesThatPacketAlone(t *testing.T) {
	for _, bad := range []int{0, 7, 31} {
		for name := range merging {
			t.Run(fmt.Sprintf("packet %d, %s", bad, name), func(t *testing.T) {
				b := quiet(newBare(t, umem.Config{Frames: 128}, 64, merging[name]))
				n := 0
				b.handle = func(p Packet) {
					n++
					if n-1 == bad {
						panic("no more")
					}
					b.take(p)
				}
				all := numbered(32)
				b.arriveAndPoll(t, all...)
				b.expect(t, append(append([][]byte(nil), all[:bad]...), all[bad+1:]...)...)
				c := b.guard.log.counts(0)
				if n != 32 || c.by["consumer"] != 1 || c.lost != 1 || c.unseen != 0 || b.pool.In(umem.Delivered) != 0 {
					t.Errorf("%d calls, counted %+v, %d frames delivered", n, c, b.pool.In(umem.Delivered))
				}
				if e := b.guard.log.first["consumer"]; e.Value != "no more" || !strings.Contains(e.Stack, "contain_test.go") || strings.Contains(e.Stack, "debug.Stack") {
					t.Errorf("%v", e)
				}
			})
		}
	}
}

// What a consumer has done with its packets when it panics: the ledger balances in each case, and nobody's packet is
// taken from him.
func TestAfterAPanicExactlyWhatTheConsumerStillHadIsReleased(t *testing.T) {
	boom := errors.New("boom")
	handlers := map[string]struct {
		h    func(p Packet, keep func(Packet))
		lost uint64 // of ten packets
		held int    // frames, until keep's are released
	}{
		"nothing":                  {func(Packet, func(Packet)) { panic(boom) }, 10, 0},
		"retained":                 {func(p Packet, keep func(Packet)) { p.Retain(); keep(p); panic(boom) }, 10, 10},
		"released, wrongly":        {func(p Packet, _ func(Packet)) { p.Release(); panic(boom) }, 0, 0},
		"released, and returned":   {func(p Packet, _ func(Packet)) { p.Release() }, 0, 0},
		"released twice":           {func(p Packet, _ func(Packet)) { p.Release(); p.Release() }, 0, 0},
		"used after its release":   {func(p Packet, _ func(Packet)) { p.Release(); p.Data() }, 0, 0},
		"an index out of range":    {func(p Packet, _ func(Packet)) { _ = p.Data()[p.Len()] }, 10, 0},
		"nil":                      {func(p Packet, _ func(Packet)) { panic(nil) }, 10, 0},
		"retained, released twice": {func(p Packet, _ func(Packet)) { p.Retain(); p.Release(); p.Release(); panic(boom) }, 0, 0},
	}
	for name, c := range handlers {
		t.Run("Handler: "+name, func(t *testing.T) {
			b := quiet(newBare(t, umem.Config{Frames: 64}, 32, nil))
			var kept []Packet
			b.handle = func(p Packet) { c.h(p, func(p Packet) { kept = append(kept, p) }) }
			b.arriveAndPoll(t, numbered(10)...)
			got := b.guard.log.counts(0)
			if got.by["consumer"] != 10 || got.lost != c.lost || b.pool.In(umem.Delivered) != c.held {
				t.Errorf("counted %+v, %d frames delivered; want 10 panics, %d packets, %d frames", got, b.pool.In(umem.Delivered), c.lost, c.held)
			}
			Release(kept)
			b.pool.Reclaim()
			b.balance(t, 0)
			if b.pool.In(umem.Delivered) != 0 {
				t.Error("not everything came home")
			}
		})
	}
	batches := map[string]struct {
		h    func(batch []Packet, keep func(Packet))
		lost uint64
		held int
	}{
		"nothing":       {func([]Packet, func(Packet)) { panic(boom) }, 10, 0},
		"released four": {func(b []Packet, _ func(Packet)) { Release(b[:4]); panic(boom) }, 6, 0},
		"released all":  {func(b []Packet, _ func(Packet)) { Release(b); panic(boom) }, 0, 0},
		"gave away three": {func(b []Packet, keep func(Packet)) {
			for i := range 3 {
				keep(b[i])
				b[i] = Packet{}
			}
			panic(boom)
		}, 7, 3},
		"retained three for others": {func(b []Packet, keep func(Packet)) {
			for _, p := range b[:3] {
				p.Retain()
				keep(p)
			}
			panic(boom)
		}, 10, 3},
		"was moving them about": {func(b []Packet, keep func(Packet)) {
			b[1].Retain()
			keep(b[1])
			b[0].Release()
			copy(b, b[1:]) // the last one is there twice
			panic(boom)
		}, 9, 1},
		"released one twice": {func(b []Packet, _ func(Packet)) { b[5].Release(); b[5].Release() }, 9, 0},
	}
	for name, c := range batches {
		t.Run("BatchHandler: "+name, func(t *testing.T) {
			b := quiet(newBare(t, umem.Config{Frames: 64}, 32, nil))
			var kept []Packet
			b.handle, b.batch = nil, func(batch []Packet) { c.h(batch, func(p Packet) { kept = append(kept, p) }) }
			b.arriveAndPoll(t, numbered(10)...)
			got := b.guard.log.counts(0)
			if got.by["consumer"] != 1 || got.lost != c.lost || b.pool.In(umem.Delivered) != c.held {
				t.Errorf("counted %+v, %d frames delivered; want 1 panic, %d packets, %d frames", got, b.pool.In(umem.Delivered), c.lost, c.held)
			}
			Release(kept)
			b.pool.Reclaim()
			b.balance(t, 0)
			if b.pool.In(umem.Delivered) != 0 {
				t.Error("not everything came home")
			}
		})
	}
}

func TestAFatalPanicEndsTheConsumerAndDropsTheRestByName(t *testing.T) {
	for _, kind := range []string{"Handler", "BatchHandler"} {
		t.Run(kind, func(t *testing.T) {
			b := quiet(newBare(t, umem.Config{Frames: 128}, 64, nil))
			b.guard.fatal = true
			calls := 0
			if kind == "Handler" {
				b.handle = func(Packet) {
					if calls++; calls == 3 {
						panic("fatal")
					}
				}
			} else {
				b.out = make([]Packet, 0, 3)
				b.handle, b.batch = nil, func([]Packet) { calls++; panic("fatal") }
			}
			b.arriveAndPoll(t, numbered(32)...)
			c, want := b.guard.log.counts(0), uint64(1)
			if kind == "BatchHandler" {
				want = 3
			}
			if c.lost != want || c.unseen != 29 || b.guard.err() == nil || b.handle != nil || b.batch != nil {
				t.Errorf("after %d calls %+v, %v", calls, c, b.guard.err())
			}
			b.balance(t, 0)
		})
	}
}

func TestASmashedHeaderStaysFatal(t *testing.T) {
	b := quiet(newBare(t, umem.Config{Frames: 64}, 32, nil))
	b.handle = func(Packet) { panic(fmt.Errorf("while releasing: %w", &umem.MisuseError{Kind: umem.Corrupt})) }
	defer func() {
		var m *umem.MisuseError
		if err, _ := recover().(error); !errors.As(err, &m) || m.Kind != umem.Corrupt {
			t.Errorf("panicked with %v, want the smashed header", err)
		}
	}()
	b.arriveAndPoll(t, numbered(1)...)
	t.Error("the receiver lived on")
}

// A consumer that ends its goroutine (t.FailNow in a handler) can't be stopped from it; frames are kept in order.
func TestAConsumerThatEndsItsGoroutineLeavesNoFrameBehind(t *testing.T) {
	for _, kind := range []string{"Handler", "BatchHandler"} {
		t.Run(kind, func(t *testing.T) {
			b := quiet(newBare(t, umem.Config{Frames: 128}, 64, nil))
			if kind == "Handler" {
				b.handle = func(Packet) { runtime.Goexit() }
			} else {
				b.out = make([]Packet, 0, 3)
				b.handle, b.batch = nil, func([]Packet) { runtime.Goexit() }
			}
			b.arrive(t, numbered(32)...)
			b.k.Flush()
			var gone sync.WaitGroup
			gone.Go(func() { b.Poll(bareBudget); t.Error("Poll came back") })
			gone.Wait()
			b.pool.Reclaim()
			c := b.guard.log.counts(0)
			if c.lost+c.unseen != 32 || b.guard.err() == nil || b.pool.In(umem.Delivered) != 0 {
				t.Errorf("%+v, %v, %d frames delivered", c, b.guard.err(), b.pool.In(umem.Delivered))
			}
			b.balance(t, 0)
		})
	}
}

// The same for a goroutine that is not the queue's, as a worker runs it.
func TestAGuardReleasesEachPacketOnceWhateverAHandlerDoes(t *testing.T) {
	rng := rand.New(rand.NewPCG(testnet.Seed(t), 1))
	b := quiet(newBare(t, umem.Config{Frames: 128}, 64, nil))
	g := guard{name: "worker 0", log: &panicLog{hook: func(*PanicError) {}}}
	var batch []Packet
	b.handle, b.batch = nil, func(got []Packet) { batch = append(batch[:0], got...) }
	calls, panics := 0, uint64(0)
	h := Handler(func(p Packet) {
		calls++
		switch rng.IntN(4) {
		case 0:
			panics++
			panic("random")
		case 1:
			panics++
			p.Release() // not its own to give back
		}
	})
	for range 200 {
		b.arriveAndPoll(t, numbered(32)...)
		if rng.IntN(2) == 0 {
			g.each(h, batch)
		} else {
			calls += len(batch)
			g.several(func(b []Packet) {
				for i, p := range b {
					if rng.IntN(8) == 0 {
						panics++
						panic(i)
					}
					p.Release()
				}
			}, batch)
		}
		b.pool.Reclaim()
		if b.pool.In(umem.Delivered) != 0 {
			t.Fatalf("%d frames still delivered", b.pool.In(umem.Delivered))
		}
	}
	if got := g.log.counts(0); calls != 200*32 || got.by["worker 0"] != panics || panics == 0 {
		t.Errorf("%d packets, %d panics, counted %+v", calls, panics, got)
	}
	b.balance(t, 0)
}
