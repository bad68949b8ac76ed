package xrx

import (
	"testing"

	"xrx/bpf"
	"xrx/internal/netdev"
	"xrx/umem"
	"xrx/xsk"
)

func TestTheChunkSizeIsChosenForDriversThatRoundBuffersDown(t *testing.T) {
	for _, c := range []struct {
		name   string
		cfg    Config
		driver string
		want   int
	}{
		{"a driver that rounds", Config{}, "igb", 4096},
		{"zero-copy asked for", Config{Bind: xsk.ZeroCopy}, "igc", 4096},
		{"a driver that does not", Config{}, "ice", 0},
		{"no driver known", Config{}, "", 0},
		{"copy asked for: the kernel's own buffers are long enough", Config{Bind: xsk.Copy}, "igb", 0},
		{"generic mode: the same", Config{Attach: bpf.Generic}, "igb", 0},
		{"the user's choice stands", Config{ChunkSize: 2048}, "igb", 2048},
		{"and with unaligned chunks", Config{Unaligned: true}, "igb", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.fit(netdev.Info{Driver: c.driver})
			if c.cfg.ChunkSize != c.want {
				t.Errorf("chunk size %d, want %d", c.cfg.ChunkSize, c.want)
			}
		})
	}
}

func TestCutSaysHowLongFramesMayBe(t *testing.T) {
	for _, c := range []struct {
		driver          string
		room, mtu, want int
	}{
		{"igb", 2048 - umem.DefaultHeadroom - 256, 1500, 1024},
		{"igb", 4096 - umem.DefaultHeadroom - 256, 1500, 0},
		{"igb", 4096 - umem.DefaultHeadroom - 256, 9000, 3072},
		{"igb", 2048 - umem.DefaultHeadroom - 256, 1024 - linkHeader, 0},
		{"ice", 2048 - umem.DefaultHeadroom - 256, 1500, 0},
	} {
		if got := cut(c.room, netdev.Info{Driver: c.driver, MTU: c.mtu}); got != c.want {
			t.Errorf("%s with room for %d bytes at MTU %d: %d, want %d", c.driver, c.room, c.mtu, got, c.want)
		}
	}
}
