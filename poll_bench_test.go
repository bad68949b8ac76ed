package xrx

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"xrx/gro"
	"xrx/internal/fakekernel"
	"xrx/internal/frames"
	"xrx/umem"
)

// BenchmarkPoll is the receive path alone: Queue.Poll on full budgets over the fake kernel, whose own work is not in
// the time. Everything is in the cache of one processor, so it is a lower bound.
func BenchmarkPoll(b *testing.B) {
	for _, c := range []struct {
		name  string
		merge *gro.Config
	}{{"GRO off", nil}, {"GRO on", &gro.Config{}}} {
		for _, size := range []int{64, 1514} {
			for _, consumer := range []string{"Handler", "BatchHandler"} {
				b.Run(fmt.Sprintf("%s/%d/%s", c.name, size, consumer), func(b *testing.B) { benchmarkPoll(b, c.merge, size, consumer) })
			}
		}
	}
}

func benchmarkPoll(b *testing.B, merge *gro.Config, size int, consumer string) {
	q := newBare(b, umem.Config{Frames: 512}, 256, merge)
	seen := 0
	if consumer == "Handler" {
		q.handle = func(p Packet) { seen += p.Count() }
	} else {
		q.handle, q.batch = nil, func(batch []Packet) {
			for _, p := range batch {
				seen += p.Count()
			}
			Release(batch)
		}
	}
	packets := make([]fakekernel.Packet, bareBudget) // four flows of sixteen segments in order
	for i := range packets {
		f := frames.Frame{Src: four(1), Dst: four(2), Proto: frames.ProtoTCP, SrcPort: uint16(1 + i/16), DstPort: 80, Fragment: 0x4000,
			ID: uint16(i), Flags: frames.ACK, Ack: 1, Window: 512}
		f.Payload = make([]byte, size-f.Headers())
		f.Seq = uint32(i % 16 * len(f.Payload))
		packets[i].Data = f.Append(nil)
	}
	benchmarkList(b, q, packets)
	q.flush() // what GRO holds over full polls
	if seen != b.N*bareBudget {
		b.Fatalf("%d packets delivered, want %d", seen, b.N*bareBudget)
	}
}

// benchmarkList measures polls that each bring these packets.
func benchmarkList(b *testing.B, q *bare, packets []fakekernel.Packet) {
	b.ReportAllocs()
	var spent time.Duration
	for b.Loop() {
		if n := q.k.Receive(packets...); n != bareBudget {
			b.Fatal(q.k)
		}
		began := time.Now()
		q.Poll(bareBudget)
		spent += time.Since(began)
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N*bareBudget), "ns/packet")
	b.ReportMetric(0, "ns/op") // the fake kernel's time is in it
}

func four(host byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, host}) }
