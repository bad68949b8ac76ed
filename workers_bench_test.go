package xrx

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"xrx/internal/fakekernel"
	"xrx/internal/frames"
	"xrx/internal/sys"
	"xrx/umem"
)

// BenchmarkWorkers is delivery through workers beside delivery in line, over the fake kernel: 64-byte packets of 256
// flows, full budgets, a handler that reads the metadata. poll-ns/packet is the time in Queue.Poll: what the queue's
// goroutine pays. cpu-ns/packet is the process's, the workers' part and waking them included, and the fake kernel's, which
// is in all of them alike.
func BenchmarkWorkers(b *testing.B) {
	for _, c := range []struct {
		workers, quota int
		kind           string
	}{{0, 0, "Handler"}, {0, 2000, "Handler"}, {1, 0, "Handler"}, {2, 0, "Handler"}, {4, 0, "Handler"}, {0, 0, "BatchHandler"}, {0, 2000, "BatchHandler"}, {2, 0, "BatchHandler"}} {
		b.Run(fmt.Sprintf("workers=%d/quota=%d/%s", c.workers, c.quota, c.kind), func(b *testing.B) { benchmarkWorkers(b, c.workers, c.quota, c.kind) })
	}
}

func benchmarkWorkers(b *testing.B, workers, quota int, kind string) {
	q := newBare(b, umem.Config{Frames: 4096}, 2048, nil)
	*q.cfg = Config{Frames: 4096, RingSize: 2048, Budget: bareBudget, Workers: workers, Quota: quota}
	if err := q.cfg.Validate(); err != nil {
		b.Fatal(err)
	}
	var hashes [256]uint32 // by flow, so that the handler does something that can't be left out; a flow is one goroutine's
	var consumer Consumer = Handler(func(p Packet) { hashes[p.Data()[35]] += p.Meta().Hash })
	if kind == "BatchHandler" {
		consumer = BatchHandler(func(batch []Packet) {
			for _, p := range batch {
				hashes[p.Data()[35]] += p.Meta().Hash
			}
			Release(batch)
		})
	}
	r := &Receiver{cfg: *q.cfg, queues: []*Queue{q.Queue}, pollers: []*poller{q.poller}}
	q.receiver = r
	if n := q.cfg.accounts(); n > 0 {
		q.pool.Accounts(n)
		q.limit = q.cfg.Quota
	}
	var s *staff
	if workers > 0 {
		q.outlet = newOutlet(workers)
		s = r.hire(consumer)
	}
	q.serve(consumer)
	packets := make([]fakekernel.Packet, 256)
	for i := range packets {
		f := frames.Frame{Src: four(1), Dst: four(2), Proto: frames.ProtoUDP, SrcPort: uint16(i), DstPort: 80, Payload: make([]byte, 22)}
		packets[i] = fakekernel.Packet{Data: f.Append(nil), Meta: metaOf(uint32(i+1) * 0x9e3779b9)}
	}
	at := 0
	b.ReportAllocs()
	var spent time.Duration
	cpu := sys.ProcessUsage()
	for b.Loop() {
		if n := q.k.Receive(packets[at : at+bareBudget]...); n != bareBudget {
			b.Fatal(q.k)
		}
		at = (at + bareBudget) % len(packets)
		began := time.Now()
		q.Poll(bareBudget)
		spent += time.Since(began)
		if s != nil {
			for w := range workers { // as fast as they go: a full backlog would make it look cheap
				for q.outlet.port.Level(w) > 64 {
					runtime.Gosched()
				}
			}
		}
	}
	if s != nil {
		if err := s.dismiss(time.Minute); err != nil {
			b.Fatal(err)
		}
	}
	used := sys.ProcessUsage()
	n := float64(b.N * bareBudget)
	b.ReportMetric(float64(spent.Nanoseconds())/n, "poll-ns/packet")
	b.ReportMetric(float64(used.User+used.Sys-cpu.User-cpu.Sys)/n, "cpu-ns/packet")
	b.ReportMetric(0, "ns/op")
	if d := q.snapshot(); d.OutPackets != uint64(n) {
		b.Fatalf("%d of %v packets delivered, dropped %v", d.OutPackets, n, d.Drops)
	}
}

// metaOf is the metadata that the XDP program writes for a packet that is not parsed: the short kind, with a hash.
func metaOf(hash uint32) []byte {
	b := make([]byte, 12)
	binary.NativeEndian.PutUint32(b, hash)
	b[11] = 0x13
	return b
}
