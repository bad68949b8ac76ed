package xrx_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/gro"
	"xrx/internal/testnet"
	"xrx/stats"
)

// hoard is a consumer that keeps all that it gets.
type hoard struct {
	mu   sync.Mutex
	kept []xrx.Packet
	got  atomic.Uint64
}

func (h *hoard) keep(batch ...xrx.Packet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = append(h.kept, batch...)
	h.got.Add(uint64(len(batch)))
}

func (h *hoard) letGo() {
	h.mu.Lock()
	defer h.mu.Unlock()
	xrx.Release(h.kept)
	h.kept = nil
}

func TestAConsumerThatNeverReleasesCannotStarveTheFillRing(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const total, quota = 10_000, 500
	consumers := map[string]func(*hoard) xrx.Consumer{
		"Handler": func(h *hoard) xrx.Consumer {
			return xrx.Handler(func(p xrx.Packet) {
				p.Retain()
				h.keep(p)
			})
		},
		"BatchHandler": func(h *hoard) xrx.Consumer { return xrx.BatchHandler(func(b []xrx.Packet) { h.keep(b...) }) },
	}
	for name, consumer := range consumers {
		for _, workers := range []int{0, 3} {
			t.Run(fmt.Sprintf("%s, %d workers", name, workers), func(t *testing.T) {
				n := testnet.New(t, testnet.Options{})
				r := open(t, n, &xrx.Config{Quota: quota, Workers: workers, Backlog: map[int]int{3: 1024}[workers]})
				var h hoard
				x := run(t, r, consumer(&h))
				s, w := sender(t, n), flows(t, n, 300)
				received := func() uint64 { return r.Snapshot().Queues[0].Packets }
				send := func() {
					before := received()
					windowed(t, s, total, maxWindow, func(b []byte, _ uint64) []byte { return w.Append(b) }, func() uint64 { return received() - before })
					eventually(t, 10*time.Second, "all are received", func() bool { return received() == before+total })
				}
				send()
				held := uint64(quota * max(1, workers))
				eventually(t, 10*time.Second, "the quota is used up", func() bool { return h.got.Load() == held })
				q := r.Snapshot().Queues[0]
				if q.Drops[stats.Quota] != total-held || len(q.Drops) != 1 || q.Kernel.Lost() != 0 || q.Kernel.RxFillRingEmptyDescs != 0 || q.FillShort != 0 {
					t.Errorf("%d received, %d delivered, dropped %v, kernel %+v, short %d times", q.Packets, q.OutPackets, q.Drops, q.Kernel, q.FillShort)
				}
				if q.FillLevel < q.FillSize/2 {
					t.Errorf("%d of %d frames in the fill ring", q.FillLevel, q.FillSize)
				}
				h.letGo() // and it gets packets again
				before := h.got.Load()
				send()
				eventually(t, 10*time.Second, "the quota is used up again", func() bool { return h.got.Load() == before+held })
				h.letGo()
				if err := x.end(); err != nil {
					t.Fatal(err)
				}
				accounted(t, r.Snapshot())
			})
		}
	}
}

// Whoever gives packets back while he is called has room again for the next: a quota below a poll's budget drops nothing.
func TestAQuotaCountsWhatIsKeptAndNotWhatIsHandled(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const total = 5000
	for name, merge := range map[string]*gro.Config{"GRO off": nil, "GRO on": {}} {
		t.Run(name, func(t *testing.T) {
			n := testnet.New(t, testnet.Options{})
			r := open(t, n, &xrx.Config{Quota: 3, GRO: merge})
			var got atomic.Uint64
			x := run(t, r, xrx.Handler(func(p xrx.Packet) { got.Add(uint64(p.Count())) }))
			w := flows(t, n, 10)
			windowed(t, sender(t, n), total, maxWindow, func(b []byte, _ uint64) []byte { return w.Append(b) }, got.Load)
			eventually(t, 10*time.Second, "all have come", func() bool { return got.Load() == total })
			if err := x.end(); err != nil {
				t.Fatal(err)
			}
			if d := r.Snapshot().Queues[0].Drops; len(d) != 0 {
				t.Errorf("dropped %v", d)
			}
		})
	}
}

func TestWorkersAndQuotasHaveSensibleDefaultsAndClearErrors(t *testing.T) {
	for _, c := range []struct {
		cfg            xrx.Config
		quota, backlog int
		err            string
	}{
		{cfg: xrx.Config{}},
		{cfg: xrx.Config{Quota: 100}, quota: 100},
		{cfg: xrx.Config{Workers: 4}, quota: 496, backlog: 256},
		{cfg: xrx.Config{Workers: 1, Frames: 64}, quota: 16, backlog: 8},
		{cfg: xrx.Config{Workers: 2, Frames: 16384}, quota: 4064, backlog: 2048},
		{cfg: xrx.Config{Workers: 2, Quota: -1}, quota: -1, backlog: 256},
		{cfg: xrx.Config{Workers: 2, Backlog: 16}, quota: 992, backlog: 16},
		{cfg: xrx.Config{Workers: -1}, err: "-1 workers: want 1 to 256"},
		{cfg: xrx.Config{Workers: 257}, err: "257 workers: want 1 to 256"},
		{cfg: xrx.Config{Backlog: 16}, err: "Workers (--workers), of which there are none"},
		{cfg: xrx.Config{Workers: 2, Backlog: 100}, err: "backlog of 100 packets: want a power of two"},
		{cfg: xrx.Config{Workers: 4, Quota: 1024}, err: "leaves nothing of 4096 for the fill ring"},
		{cfg: xrx.Config{Quota: 4096}, err: "leaves nothing of 4096 for the fill ring"},
	} {
		switch err := c.cfg.Validate(); {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%v, want %q", err, c.err)
		case c.err == "" && (err != nil || c.cfg.Quota != c.quota || c.cfg.Backlog != c.backlog || c.cfg.Workers > 0 && !c.cfg.SymmetricHash):
			t.Errorf("%d workers: quota %d, backlog %d, symmetric %v, %v; want %d, %d", c.cfg.Workers, c.cfg.Quota, c.cfg.Backlog, c.cfg.SymmetricHash, err, c.quota, c.backlog)
		}
	}
}
