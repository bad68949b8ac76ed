package main

import (
	"testing"
	"time"
)

func TestTheProgressOfTheBenchmarksGoesByTheirEstimates(t *testing.T) {
	began := time.Unix(1000, 0)
	for _, c := range []struct {
		before, long, passed, sum time.Duration
		want                      float64
	}{
		{0, 40 * time.Second, 0, 100 * time.Second, 0},
		{0, 40 * time.Second, 20 * time.Second, 100 * time.Second, 0.2},
		{40 * time.Second, 60 * time.Second, 30 * time.Second, 100 * time.Second, 0.7},
		{40 * time.Second, 30 * time.Second, time.Hour, 100 * time.Second, 0.7}, // late: others are still to come
		{0, 0, 0, 0, 0}, // nothing to do
	} {
		s := at{"rx", c.before, c.long, began}.state(c.sum, began.Add(c.passed))
		if s.Part != c.want || s.What != "bench, rx" {
			t.Errorf("%+v: %+v", c, s)
		}
	}
}
