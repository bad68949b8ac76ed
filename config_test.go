package xrx

import "testing"

func TestAQueueThatSleepsHasThreeQuartersOfItsFramesPosted(t *testing.T) {
	for _, c := range []struct {
		name           string
		cfg            Config
		ring, rx, post int
	}{
		{"default", Config{}, 4096, 4096, 3072},
		{"frames that are no power of two", Config{Frames: 1000}, 512, 512, 750},
		{"the least", Config{Frames: 2}, 2, 2, 1},
		{"busy", Config{Busy: true}, 2048, 2048, 0},
		{"woken for every packet", Config{Gather: -1}, 2048, 2048, 0},
		{"workers", Config{Workers: 2}, 2048, 2048, 0},
		{"frames for sending too", Config{sends: true}, 2048, 2048, 0},
		{"asked for", Config{RingSize: 4096, RxSize: 1024}, 4096, 1024, 0},
	} {
		for range 2 { // what was validated stays as it is
			if err := c.cfg.Validate(); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if c.cfg.RingSize != c.ring || c.cfg.RxSize != c.rx || c.cfg.posted != c.post {
				t.Errorf("%s: rings of %d and %d, %d posted; want %d, %d, %d", c.name, c.cfg.RingSize, c.cfg.RxSize, c.cfg.posted, c.ring, c.rx, c.post)
			}
		}
	}
}
