package xrx_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/internal/frames"
	"xrx/internal/gen"
	"xrx/internal/testnet"
	"xrx/umem"
)

// matrixQueue is what one queue got; only its goroutine touches it.
type matrixQueue struct {
	tally  gen.Tally
	bytes  []byte
	hashes map[uint32]uint32 // of each flow
	wrong  string            // first metadata that is not right
	chains int
}

func (q *matrixQueue) take(p xrx.Packet) {
	q.bytes = p.Bytes(q.bytes[:0])
	q.tally.Add(q.bytes)
	m := p.Meta()
	_, flow, err := gen.Check(q.bytes)
	hash, known := q.hashes[flow]
	q.hashes[flow] = m.Hash
	want := xrx.Meta{Kind: 1, Flags: umem.HashL4, L3: 4, L3Off: 14, L4Off: 34, L4Proto: frames.ProtoUDP, Hash: m.Hash}
	if (err == nil && (m != want || m.Hash == 0 || known && hash != m.Hash) || p.Queue() < 0) && q.wrong == "" {
		q.wrong = fmt.Sprintf("flow %d, %+v, hash before %08x", flow, m, hash)
	}
	if p.IsChain() {
		q.chains++
	}
}

// matrixCell sends count frames of 64 bytes up to what the MTU allows, and returns what became of them: "all", or where
// packets over several frames are switched off and frames are too long for one, "up to N B", the rest counted by the
// kernel.
func matrixCell(t *testing.T, n *testnet.Net, cfg xrx.Config, count uint64) string {
	r := open(t, n, &cfg)
	mtu := n.MTU
	usable := cfg.ChunkSize - umem.DefaultHeadroom - umem.PacketHeadroom
	sizes := []int{64, 300, 1000, 1514}
	if mtu > 1500 {
		sizes = append(sizes, usable-1, usable, usable+1, 2*usable, 2*usable+1, mtu+14)
	}
	queues := make([]matrixQueue, 4)
	for i := range queues {
		queues[i].hashes = map[uint32]uint32{}
	}
	var arrived atomic.Uint64
	x := run(t, r, xrx.Handler(func(p xrx.Packet) {
		queues[p.Queue()].take(p)
		arrived.Add(1)
	}))
	w, err := gen.NewWriter(gen.Stream{Flows: 64, Sizes: sizes, SrcMAC: n.A.MAC, DstMAC: n.B.MAC, Src: n.A.IP4, Dst: n.B.IP4})
	if err != nil {
		t.Fatal(err)
	}
	long, longest := uint64(0), 0
	windowed(t, sender(t, n), count, 64, func(b []byte, _ uint64) []byte {
		at := len(b)
		b = w.Append(b)
		if size := len(b) - at; size > usable && cfg.MultiBuffer == xrx.MultiBufferOff {
			long++
		} else {
			longest = max(longest, size)
		}
		return b
	}, func() uint64 { return arrived.Load() + long })
	eventually(t, 10*time.Second, "all frames that fit have arrived", func() bool { return arrived.Load() >= count-long })
	if err := x.end(); err != nil {
		t.Fatal(err)
	}
	good, used, chains := uint64(0), 0, 0
	for i := range queues {
		q := &queues[i]
		good += q.tally.Frames
		chains += q.chains
		if q.tally.Frames > 0 {
			used++
		}
		if q.tally.Duplicates+q.tally.Reordered+q.tally.Foreign+q.tally.Damaged != 0 || q.wrong != "" {
			t.Errorf("queue %d: %v; metadata: %s", i, q.tally.Err(count), q.wrong)
		}
	}
	dropped := uint64(0)
	for _, q := range r.Snapshot().Queues {
		dropped += q.Kernel.RxDropped
		if q.Ledger.Lost != 0 || len(q.Drops) != 0 || q.Kernel.RxRingFull+q.Kernel.RxFillRingEmptyDescs+q.Kernel.RxInvalidDescs != 0 || q.Ledger.Total != cfg.Frames {
			t.Errorf("queue %d: kernel %+v, drops %v, %v", q.Queue, q.Kernel, q.Drops, q.Ledger)
		}
	}
	if good != count-long || dropped != long {
		t.Errorf("%d frames of %d, %d dropped for their length, want %d", good, count, dropped, long)
	}
	if several := int(chains) > 0; several != (longest > usable) {
		t.Errorf("%d packets over several chunks, the longest of %d bytes", chains, longest)
	}
	if n.Queues > 1 && used < 2 {
		t.Errorf("all packets were on one queue of %d", n.Queues)
	}
	matrixNotes(t, r.Mode().Notes, cfg, mtu, usable)
	if long > 0 {
		return fmt.Sprintf("up to %d B", longest)
	}
	return "all"
}

// matrixNotes checks what the receiver says of a cell that does not take everything, and that it says nothing else.
func matrixNotes(t *testing.T, notes []string, cfg xrx.Config, mtu, usable int) {
	t.Helper()
	var want []string
	if cfg.SharedUmem {
		want = append(want, "share one UMEM")
	}
	if cfg.MultiBuffer == xrx.MultiBufferOff && mtu+22 > usable {
		want = append(want, fmt.Sprintf("packets of more than %d bytes are lost, and counted as rx_dropped: the MTU is %d, and packets over several frames are switched off (--sg auto takes them)", usable, mtu))
	}
	for _, s := range want {
		if !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, s) }) {
			t.Errorf("notes %q don't say %q", notes, s)
		}
	}
	if len(notes) != len(want) {
		t.Errorf("notes %q, want %d of them", notes, len(want))
	}
}

// hugePages is a number in the kernel's directory about pages of 2 MiB.
func hugePages(name string) int {
	b, err := os.ReadFile("/sys/kernel/mm/hugepages/hugepages-2048kB/" + name)
	if err != nil {
		return 0
	}
	v, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return v
}

// freeHugePages has exactly n huge pages of 2 MiB free until the test ends, and reports whether it could.
func freeHugePages(t *testing.T, n int) bool {
	set := func(v int) {
		os.WriteFile("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", []byte(strconv.Itoa(v)), 0)
	}
	before := hugePages("nr_hugepages")
	t.Cleanup(func() { set(before) })
	set(before - hugePages("free_hugepages") + n)
	return hugePages("free_hugepages") == n
}
