package gen

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTheClockIsTheKernelsMonotonicOne(t *testing.T) {
	c := NewClock()
	const most = 20 * time.Millisecond // of being stopped between two reads
	for deadline := time.Now().Add(10 * time.Second); ; {
		before := c.Now()
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			t.Fatal(err)
		}
		after := c.Now()
		const slack = int64(100 * time.Microsecond)
		if after-before < int64(most) && (ts.Nano() < before-slack || ts.Nano() > after+slack) {
			t.Fatalf("the kernel says %d between %d and %d", ts.Nano(), before, after)
		}
		if after-before < int64(most) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no two reads within 20 ms")
		}
	}
}

func TestStampsOfWrittenFramesAreFoundAndTellTheirAge(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		for _, ipv6 := range []bool{false, true} {
			s := testStream(tcp, ipv6)
			s.Stamp = true
			s.Sizes = []int{s.MinSize(), 200, 1514}
			w, err := NewWriter(s)
			if err != nil {
				t.Fatal(err)
			}
			for i := range int64(300) {
				w.stamp = 1<<49 + i // beyond what a stamp holds
				f := w.Append(nil)
				if seq, _, err := Check(f); err != nil || seq != uint64(i) {
					t.Fatalf("frame %d: %d, %v", i, seq, err)
				}
				if age, ok := Age(Payload(f), w.stamp+777); !ok || age != 777 {
					t.Fatalf("TCP %v, IPv6 %v, frame %d: age %v, %v", tcp, ipv6, i, age, ok)
				}
				if _, ok := Age(Payload(f), w.stamp-1); ok {
					t.Fatal("a stamp from the future has an age")
				}
				for n := range len(f) { // cut off anywhere, it must not panic
					Payload(f[:n])
				}
			}
		}
	}
}

func TestFramesWithoutStampHaveNoAge(t *testing.T) {
	s := testStream(false, false)
	s.Sizes = []int{200}
	w, err := NewWriter(s)
	if err != nil {
		t.Fatal(err)
	}
	if age, ok := Age(Payload(w.Append(nil)), NewClock().Now()); ok {
		t.Errorf("age %v", age)
	}
}

// A sender that was held up has its frames stamped with their turns all the same.
func TestTurnsOfAStampedStreamDoNotWaitForASlowSender(t *testing.T) {
	s := testStream(false, false)
	s.Stamp = true
	p := newSchedule(s, Options{Rate: 1000})
	const most = 64
	n, err := p.wait(context.Background(), most)
	if err != nil || n < 1 {
		t.Fatal(n, err)
	}
	first, sent := p.turn(0), n
	p.start -= int64(20 * time.Millisecond) // as if it had been stopped so long
	first -= int64(20 * time.Millisecond)
	if n, err = p.wait(context.Background(), most); err != nil || n < 19 {
		t.Fatalf("%d frames let go 20 ms later, %v", n, err)
	}
	for i := range n {
		if got, want := p.turn(i)-first, int64(sent+i)*int64(time.Millisecond); got != want {
			t.Fatalf("frame %d has its turn at %d, want %d", sent+i, got, want)
		}
	}
	if l := p.lateness(); l.Max < 18*time.Millisecond {
		t.Errorf("late by %v at most, though stopped for 20 ms", l.Max)
	}
}
