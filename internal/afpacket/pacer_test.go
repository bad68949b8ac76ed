package afpacket

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestPacerKeepsTheRate(t *testing.T) {
	for _, c := range []struct {
		name string
		rate float64
		most int
	}{
		{"a few frames", 50, Batch},
		{"one per slice", 1000, Batch},
		{"batches", 100_000, Batch},
		{"more than one batch per slice", 1_000_000, Batch},
		{"no more than is left", 100_000, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewPacer(c.rate)
			start := time.Now()
			sent := 0
			for time.Since(start) < 300*time.Millisecond {
				n, err := p.Wait(context.Background(), c.most)
				if err != nil || n < 1 || n > c.most {
					t.Fatalf("Wait(%d) = %d, %v", c.most, n, err)
				}
				sent += n
				// The schedule is never run ahead of, however slow the machine.
				if most := time.Since(start).Seconds()*c.rate + 1; float64(sent) > most {
					t.Fatalf("%d frames handed out, at most %.0f are due", sent, most)
				}
			}
			// A machine that stops us for 20 ms at a time may lose some.
			if least := time.Since(start).Seconds()*c.rate*0.5 - 1; float64(sent) < least {
				t.Errorf("%d frames handed out, want at least %.0f", sent, least)
			}
		})
	}
}

func TestPacerDoesNotFloodAfterAStop(t *testing.T) {
	p := NewPacer(10_000)
	p.start = time.Now().Add(-time.Hour)
	sent := 0
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
		n, err := p.Wait(context.Background(), Batch)
		if err != nil {
			t.Fatal(err)
		}
		sent += n
	}
	// 20 ms of burst, 50 ms of schedule, and room for a slow machine.
	if sent < 200 || sent > 200+5000 {
		t.Errorf("%d frames after a stop of an hour", sent)
	}
}

func TestPacerWithoutARateHandsOutAllAndStopsOnCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	if n, err := NewPacer(0).Wait(ctx, 17); n != 17 || err != nil {
		t.Errorf("Wait = %d, %v", n, err)
	}
	slow := NewPacer(0.001)
	time.AfterFunc(20*time.Millisecond, cancel)
	start := time.Now()
	if _, err := slow.Wait(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("cancel took %v", d)
	}
	if _, err := NewPacer(0).Wait(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait after cancel: %v", err)
	}
}
