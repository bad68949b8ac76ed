package ring

import "testing"

func TestReserveAndPeekNeverCrossTheEndOfTheRing(t *testing.T) {
	m := New[uint64](8)
	p, c := NewProducer(m), NewConsumer(m)
	for range 6 {
		p.Reserve(1)
		p.Advance(1)
	}
	p.Submit()
	c.Advance(len(c.Peek(6)))
	c.Release()
	for _, want := range []int{2, 6, 0} { // up to the end, from the start, full
		s := p.Reserve(100)
		if len(s) != want {
			t.Fatalf("reserved %d, want %d", len(s), want)
		}
		for i := range s {
			s[i] = uint64(i + want*10)
		}
		p.Advance(len(s))
	}
	if len(c.Peek(100)) != 0 || p.Level() != 8 {
		t.Fatalf("visible before Submit; level %d", p.Level())
	}
	p.Submit()
	for _, want := range []int{2, 6, 0} {
		d := c.Peek(100)
		if len(d) != want {
			t.Fatalf("peeked %d, want %d", len(d), want)
		}
		for i := range d {
			if d[i] != uint64(i+want*10) {
				t.Fatalf("descriptor %d is %d", i, d[i])
			}
		}
		c.Advance(len(d))
	}
	if p.Free() != 0 {
		t.Error("slots came back before Release")
	}
	if c.Release(); p.Free() != 8 || c.Level() != 0 {
		t.Errorf("%d free, level %d", p.Free(), c.Level())
	}
}

func TestBothEndsGoOnFromWhereTheMemoryIs(t *testing.T) {
	m := New[uint64](4)
	p := NewProducer(m)
	copy(p.Reserve(3), []uint64{7, 8, 9})
	p.Advance(3)
	p.Submit()
	c := NewConsumer(m)
	c.Advance(len(c.Peek(1)))
	c.Release()
	if again := NewProducer(m); again.Level() != 2 || again.Free() != 2 {
		t.Errorf("level %d, %d free", again.Level(), again.Free())
	}
	if again := NewConsumer(m); again.Level() != 2 || again.Peek(1)[0] != 8 {
		t.Errorf("level %d, next %d", again.Level(), again.Peek(1)[0])
	}
}

func TestARingWithoutFlagsNeverNeedsAWakeup(t *testing.T) {
	m := New[uint64](4)
	m.Flags = nil
	if NewProducer(m).NeedWakeup() {
		t.Error("needs a wakeup")
	}
}

func TestABatchAllocatesNothing(t *testing.T) {
	m := New[uint64](64)
	p, c := NewProducer(m), NewConsumer(m)
	if n := testing.AllocsPerRun(100, func() {
		p.Advance(len(p.Reserve(16)))
		p.Submit()
		c.Advance(len(c.Peek(16)))
		c.Release()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkBatch is a descriptor through the ring in batches of 64, both ends on one goroutine. ns/op is per descriptor.
func BenchmarkBatch(b *testing.B) {
	m := New[uint64](2048)
	p, c := NewProducer(m), NewConsumer(m)
	var sum uint64
	for n := 0; n < b.N; n += 64 {
		for left := 64; left > 0; {
			s := p.Reserve(left)
			for i := range s {
				s[i] = uint64(i)
			}
			p.Advance(len(s))
			left -= len(s)
		}
		p.Submit()
		for left := 64; left > 0; {
			d := c.Peek(left)
			for i := range d {
				sum += d[i]
			}
			c.Advance(len(d))
			left -= len(d)
		}
		c.Release()
	}
	if sum == 0 && b.N > 64 {
		b.Fatal("nothing arrived")
	}
}
