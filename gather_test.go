package xrx

import (
	"testing"
	"time"
)

const us = time.Microsecond

func TestAGathererSleepsForWhatKeepsTheCostSmall(t *testing.T) {
	for _, test := range []struct {
		name string
		most time.Duration
		cost []time.Duration
		want time.Duration
	}{
		{"nothing measured yet", 0, nil, 150 * us},
		{"a cheap sleep", 0, []time.Duration{2 * us}, 100 * us},
		{"a dear one", 0, []time.Duration{12 * us}, 192 * us},
		{"a very dear one", 0, []time.Duration{25 * us}, 300 * us},
		{"it becomes cheaper", 0, []time.Duration{25 * us, us, us, us, us, us, us}, 100 * us},
		{"one among others counts little", 0, []time.Duration{8 * us, 8 * us, 16 * us}, 160 * us},
		{"what was something else does not count", 0, []time.Duration{8 * us, 400 * us, 0, -us}, 128 * us},
		{"no clock", 0, []time.Duration{0, 0}, 150 * us},
		{"set by hand", 40 * us, []time.Duration{25 * us}, 40 * us},
	} {
		g := newGatherer(test.most, 1<<20)
		for _, c := range test.cost {
			for range 2 * measureEvery {
				if g.measures() {
					g.slept(c)
					break
				}
			}
		}
		g.sleep(0, 0)
		if got := g.sleep(int64(time.Second), 1e6); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestAGathererMeasuresTheFirstSleepAndThenFew(t *testing.T) {
	g := newGatherer(0, 1<<20)
	measured := []int{}
	for i := range 3 * measureEvery {
		if g.measures() {
			measured = append(measured, i)
			g.slept(us)
		}
	}
	if len(measured) != 3 || measured[0] != 0 {
		t.Errorf("sleeps that were measured: %v", measured)
	}
}

func TestABurstIsNoRate(t *testing.T) {
	g := newGatherer(0, 1<<20)
	g.slept(100 * us) // 300 us at most
	at := int64(0)
	g.sleep(at, 0)
	for _, c := range []struct{ seen, want time.Duration }{{20 * us, 100 * us}, {120 * us, 240 * us}, {260 * us, 300 * us}, {320 * us, 300 * us}} {
		at += int64(c.seen)
		if got := g.sleep(at, uint64(at)/1000); got != c.want { // a million packets a second
			t.Errorf("seen over %v: %v, want %v", c.seen, got, c.want)
		}
	}
}

func TestWhatSleepsTakeLongerIsTakenOff(t *testing.T) {
	for _, test := range []struct {
		name string
		late time.Duration
		room int
		want time.Duration
	}{
		{"on time", 0, 1 << 20, 200 * us},
		{"early, by a signal", -50 * us, 1 << 20, 200 * us},
		{"late", 60 * us, 1 << 20, 140 * us},
		{"late, where the room is for 100 us", 60 * us, 100, 40 * us},
		{"later than there is room for", 200 * us, 100, 25 * us},
	} {
		g := newGatherer(200*us, test.room)
		for range 100 {
			g.woke(100*us, 100*us+test.late)
		}
		g.sleep(0, 0)
		if got := g.sleep(int64(time.Second), 1e6); max(got-test.want, test.want-got) > us {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	g := newGatherer(200*us, 1<<20)
	g.woke(100*us, time.Second) // the machine stood still: once
	g.sleep(0, 0)
	if got := g.sleep(int64(time.Second), 1e6); got < 150*us {
		t.Errorf("after one sleep of a second: %v", got)
	}
}

func TestAGathererPollsWhereASleepWouldGatherLittleAndLeavesRoom(t *testing.T) {
	for _, test := range []struct {
		name    string
		most    time.Duration
		packets uint64 // a second
		want    time.Duration
	}{
		{"31 packets in a sleep", 100 * us, 310_000, 0},
		{"32 packets in a sleep", 100 * us, 320_000, 100 * us},
		{"as many as there is room for", 100 * us, 10_000_000, 100 * us},
		{"twice as many", 100 * us, 20_000_000, 50 * us},
		{"never", -1, 20_000_000, 0},
		{"slow ones in a long sleep that was asked for", 5000 * us, 6_400, 5000 * us},
		{"too slow even so", 5000 * us, 6_300, 0},
		{"a long sleep does not make slow packets fast", 0, 213_000, 0},
		{"nor fast ones slow", 0, 214_000, 300 * us},
	} {
		g := newGatherer(test.most, 1000)
		if test.most == 0 {
			g.slept(100 * us)
		}
		g.sleep(0, 0)
		if got := g.sleep(int64(time.Second), test.packets); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
