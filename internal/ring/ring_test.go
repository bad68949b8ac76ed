package ring

import (
	"runtime"
	"testing"
)

// Both ends run on their own goroutine over the same memory, as user space and kernel do. Under -race this shows that
// the index protocol alone orders the descriptors: they are plain memory.
func TestEveryDescriptorArrivesOnceAndInOrderAcrossGoroutines(t *testing.T) {
	for _, size := range []int{1, 2, 64, 2048} {
		total := uint64(min(200_000, 20_000*size)) // small rings change hands at every descriptor
		m := New[uint64](size)
		done := make(chan uint64)
		go func() {
			c, next := NewConsumer(m), uint64(0)
			for batch := 1; next < total; batch = batch%size + 1 {
				got := c.Peek(batch)
				for _, d := range got {
					if d != next {
						done <- d
						return
					}
					next++
				}
				if len(got) == 0 {
					runtime.Gosched()
					continue
				}
				c.Advance(len(got))
				c.Release()
			}
			done <- total
		}()
		p := NewProducer(m)
		for sent := uint64(0); sent < total; {
			slots := p.Reserve(min(7, int(total-sent)))
			for i := range slots {
				slots[i] = sent
				sent++
			}
			if len(slots) == 0 {
				runtime.Gosched()
			}
			p.Advance(len(slots))
			p.Submit()
		}
		if got := <-done; got != total {
			t.Fatalf("size %d: descriptor %d came out of turn", size, got)
		}
		if p.Level() != 0 {
			t.Fatalf("size %d: level %d after everything was consumed", size, p.Level())
		}
	}
}

func TestIndicesWrapAroundThirtyTwoBits(t *testing.T) {
	m := New[uint64](8)
	*m.Producer, *m.Consumer = 1<<32-3, 1<<32-3
	p, c := NewProducer(m), NewConsumer(m)
	for round := uint64(0); round < 100; round++ {
		if got := p.Free(); got != 8 {
			t.Fatalf("round %d: %d free in an empty ring of 8", round, got)
		}
		for left := 5; left > 0; {
			s := p.Reserve(left)
			for i := range s {
				s[i] = round*5 + uint64(5-left+i)
			}
			p.Advance(len(s))
			left -= len(s)
		}
		if c.Level() != 0 {
			t.Fatal("descriptors are visible before Submit")
		}
		p.Submit()
		if p.Level() != 5 || c.Level() != 5 {
			t.Fatalf("levels %d, %d, want 5", p.Level(), c.Level())
		}
		for n := uint64(0); n < 5; {
			for _, d := range c.Peek(5) {
				if d != round*5+n {
					t.Fatalf("got %d, want %d", d, round*5+n)
				}
				n++
				c.Advance(1)
			}
		}
		c.Release()
	}
}

func TestAFullRingTakesNothingUntilTheConsumerReleases(t *testing.T) {
	m := New[uint64](4)
	p, c := NewProducer(m), NewConsumer(m)
	p.Advance(len(p.Reserve(4)))
	p.Submit()
	if s := p.Reserve(1); len(s) != 0 {
		t.Fatalf("%d slots in a full ring", len(s))
	}
	c.Advance(len(c.Peek(3)))
	if s := p.Reserve(1); len(s) != 0 {
		t.Fatal("slots came back before Release")
	}
	c.Release()
	if s := p.Reserve(9); len(s) != 3 {
		t.Fatalf("%d slots after three were released", len(s))
	}
}

func TestNeedWakeupIsReadFromTheFlags(t *testing.T) {
	m := New[uint64](4)
	p := NewProducer(m)
	if p.NeedWakeup() {
		t.Fatal("flag is not set")
	}
	*m.Flags = needWakeup
	if !p.NeedWakeup() {
		t.Fatal("flag is set")
	}
}

func TestASizeThatIsNoPowerOfTwoIsAProgrammersError(t *testing.T) {
	for _, size := range []int{0, 3, 100} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("size %d was taken", size)
				}
			}()
			NewProducer(New[uint64](size))
		}()
	}
}
