package flows

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"xrx/gro"
	"xrx/internal/frames"
	"xrx/internal/testnet"
	"xrx/internal/testpackets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testShard(t testing.TB, cfg Config) (*Table, *shard) {
	t.Helper()
	table, err := New(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	return table, table.shard(0)
}

func numbered(n uint64) (k key) {
	binary.LittleEndian.PutUint64(k.src[:], n)
	return k
}

// A slow table beside the real one: a slice in the order of last packets.
func TestTheTableHoldsWhatASlowOneWould(t *testing.T) {
	for _, flows := range []int{1, 3, 100} {
		r := rand.New(rand.NewPCG(testnet.Seed(t), 2))
		_, s := testShard(t, Config{Flows: flows, Pending: 1 << 16})
		var order []uint64 // the newest last
		got, want := map[uint64]uint64{}, map[uint64]uint64{}
		evicted, now := uint64(0), int64(0)
		for range 20_000 {
			now++
			n := uint64(r.NormFloat64()*50 + 1000)
			f, at := s.get(numbered(n), now)
			f.n.Packets++
			s.touch(f, at, now)
			want[n]++
			if i := slices.Index(order, n); i >= 0 {
				order = slices.Delete(order, i, i+1)
			} else if len(order) == flows {
				order = order[1:]
				evicted++
			}
			order = append(order, n)
			if r.IntN(50) == 0 && len(order) > 1 { // one leaves
				i := r.IntN(len(order))
				_, at := s.get(numbered(order[i]), now)
				s.remove(at, Idle)
				order = slices.Delete(order, i, i+1)
			}
			if s.used != len(order) {
				t.Fatalf("%d flows, want %d", s.used, len(order))
			}
		}
		left := 0
		for n := s.live.oldest; n != 0; n = s.flows[n].newer {
			id := binary.LittleEndian.Uint64(s.flows[n].key.src[:])
			if id != order[left] {
				t.Fatalf("flow %d is in place %d, want %d", id, left, order[left])
			}
			got[id] += s.flows[n].n.Packets
			left++
		}
		for i := range s.pending {
			got[binary.LittleEndian.Uint64(s.pending[i].key.src[:])] += s.pending[i].n.Packets
		}
		for n, packets := range want {
			if got[n] != packets {
				t.Errorf("flow %d: %d packets, want %d", n, got[n], packets)
			}
		}
		if left != len(order) || s.stats.Evicted != evicted || evicted == 0 || s.stats.Unreported != 0 {
			t.Errorf("%d flows of %d, %d evicted of %d, %+v", left, len(order), s.stats.Evicted, evicted, s.stats)
		}
	}
}

var (
	from4, to4 = netip.MustParseAddrPort("10.0.0.1:4000"), netip.MustParseAddrPort("10.0.0.2:5201")
	from6, to6 = netip.MustParseAddrPort("[fd00::1]:4000"), netip.MustParseAddrPort("[fd00::2]:5201")
)

func bytesOf(f frames.Frame) []byte { return f.Append(nil) }

func collect(into *[]Record) func(*Record) { return func(r *Record) { *into = append(*into, *r) } }

func TestRecordsOfAFlowAddUpToWhatCame(t *testing.T) {
	table, s := testShard(t, Config{})
	var sent [][]byte
	bytes := 0
	for i := range 20 {
		f := frames.TCP(from6, to6, uint32(i*100), make([]byte, 100))
		if i == 19 {
			f.Flags |= frames.FIN
		}
		sent = append(sent, f.Append(nil))
		bytes += len(sent[i])
	}
	second := int64(time.Second)
	var records []Record
	for i, part := range [][][]byte{sent[:5], sent[5:15], sent[15:]} {
		for _, p := range testpackets.Receive(t, gro.Config{}, part...) {
			count(s, p, int64(i)*second)
		}
		if i < 2 {
			table.Active(collect(&records))
			table.Active(collect(&records)) // nothing new: no record
		}
	}
	table.Ended(time.Unix(3, 0), collect(&records)) // FIN lingers
	if len(records) != 2 || table.Stats().Flows != 1 {
		t.Fatalf("%+v", records)
	}
	table.Ended(time.Unix(4, 0), collect(&records))
	if len(records) != 3 || table.Stats().Flows != 0 {
		t.Fatalf("%+v", records)
	}
	var sum Counts
	for i, r := range records {
		if want := []Reason{Interval, Interval, Fin}[i]; r.Reason != want || r.Src != from6 || r.Dst != to6 || r.Proto != 6 || !r.First.Equal(time.Unix(0, 0)) || !r.Last.Equal(time.Unix(int64(i), 0)) {
			t.Errorf("record %d: %+v", i, r)
		}
		sum = sum.plus(r.Counts)
	}
	if sum != (Counts{Packets: 20, Bytes: uint64(bytes)}) || records[2].Flags.String() != "FA" {
		t.Errorf("%+v, flags %v; want 20 packets, %d bytes", sum, records[2].Flags, bytes)
	}
	if got := table.Stats(); got.Packets != 20 || got.Bytes != uint64(bytes) || got.Created != 1 {
		t.Errorf("%+v", got)
	}
}

func TestFlowsEndByIdlenessResetAndAnotherConnection(t *testing.T) {
	table, s := testShard(t, Config{Idle: 10 * time.Second})
	put := func(at int64, f frames.Frame) {
		for _, p := range testpackets.Receive(t, gro.Config{Off: true}, f.Append(nil)) {
			count(s, p, at*int64(time.Second))
		}
	}
	flags := func(f frames.Frame, flags uint8) frames.Frame {
		f.Flags = flags
		return f
	}
	put(1, frames.UDP(from4, to4, []byte("idle")))
	put(1, flags(frames.TCP(from4, to4, 9, nil), frames.RST))
	put(2, flags(frames.TCP(from4, to4, 500, nil), frames.SYN)) // the same ports
	put(2, flags(frames.TCP(from6, to6, 9, []byte("x")), frames.RST))
	var records []Record
	table.Ended(time.Unix(11, 0), collect(&records))
	table.Flush(collect(&records))
	var got []string
	for _, r := range records {
		got = append(got, r.Reason.String()+" "+r.Proto.String()+" "+r.Flags.String())
	}
	slices.Sort(got)
	if want := []string{"end tcp S", "idle udp ", "rst tcp R", "rst tcp R"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWhatBelongsToNoFlowIsCounted(t *testing.T) {
	table, s := testShard(t, Config{})
	good := frames.UDP(from4, to4, make([]byte, 100))
	cut := good.Append(nil)[:60]
	first, second := good, good
	first.Fragment, second.Fragment = 0x2000, 100
	for _, b := range [][]byte{(&frames.Frame{EtherType: 0x0806, Payload: make([]byte, 46)}).Append(nil), cut, make([]byte, 10), first.Append(nil), second.Append(nil)} {
		for _, p := range testpackets.Receive(t, gro.Config{Off: true}, b) {
			count(s, p, 1)
		}
	}
	got := table.Stats()
	if got.Packets != 5 || got.NotIP != 1 || got.Malformed != 2 || got.Flows != 1 {
		t.Errorf("%+v", got)
	}
	if r := table.Top(9, Bytes); len(r) != 1 || r[0].Src != netip.AddrPortFrom(from4.Addr(), 0) || r[0].Packets != 2 {
		t.Errorf("fragments: %+v", r)
	}
}

func TestARecordThatNobodyFetchesIsCounted(t *testing.T) {
	table, s := testShard(t, Config{Flows: 10, Pending: 5})
	for i := range uint64(100) {
		f, _ := s.get(numbered(i), int64(i))
		f.n.Packets++
	}
	var records []Record
	table.Ended(time.Unix(0, 0), collect(&records))
	if got := table.Stats(); got.Evicted != 90 || got.Unreported != 85 || got.Flows != 10 || len(records) != 5 || records[0].Reason != Evicted {
		t.Errorf("%+v, %d records", got, len(records))
	}
	records = nil
	if table.Flush(collect(&records)); len(records) != 10 || table.Stats().Flows != 0 {
		t.Errorf("%d records at the end", len(records))
	}
}

func TestTopTalkersAreAddedUpOverQueues(t *testing.T) {
	table, _ := testShard(t, Config{})
	for queue := range 3 {
		s := table.shard(queue)
		for i := range 2000 {
			f, _ := s.get(numbered(uint64(i)), int64(queue+1))
			f.n.Packets = 1
			f.n.Bytes = uint64(i)
		}
	}
	top := table.Top(3, Bytes)
	if len(top) != 3 || top[0].Bytes != 3*1999 || top[2].Bytes != 3*1997 || top[0].Queue != 0 || top[0].Last.UnixNano() != 3 {
		t.Errorf("%+v", top)
	}
	if n := len(table.Top(10_000, Packets)); n != 2000 {
		t.Errorf("%d flows", n)
	}
	if len(table.Top(0, Bytes)) != 0 || len(table.Top(-1, Recent)) != 0 {
		t.Error("none were asked for")
	}
}

func TestARecordIsOneLineOfJSON(t *testing.T) {
	var b strings.Builder
	r := Record{Reason: Fin, Proto: 6, Src: from6, Dst: to6, VLAN: 7, First: time.Unix(1, 5).UTC(), Last: time.Unix(2, 0).UTC(), Flags: 0x13, Queue: 3, Counts: Counts{1, 2, 3, 4, 5}}
	if _, err := r.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	want := `{"type":"flow","ip":6,"src":"fd00::1","sport":4000,"dst":"fd00::2","dport":5201,"reason":"fin","proto":"tcp","vlan":7,` +
		`"first":"1970-01-01T00:00:01.000000005Z","last":"1970-01-01T00:00:02Z","flags":"FSA","queue":3,` +
		`"packets":1,"bytes":2,"retransmits":3,"retransmit_bytes":4,"late":5}` + "\n"
	if b.String() != want {
		t.Errorf("got  %swant %s", b.String(), want)
	}
}

func TestATableThatMakesNoSenseIsRefused(t *testing.T) {
	for _, c := range []Config{{Flows: -1}, {Flows: 1 << 30}, {Pending: -1}, {Idle: -1}, {Linger: -1}} {
		if _, err := New(&c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	_, s := testShard(t, Config{Flows: 64})
	var list [][]byte
	for i := range 200 { // more flows than the table has: each one evicts another
		list = append(list, bytesOf(frames.UDP(netip.AddrPortFrom(from4.Addr(), uint16(i)), to4, nil)))
	}
	packets := testpackets.Receive(t, gro.Config{Off: true}, list...)
	if n := testing.AllocsPerRun(100, func() {
		for _, p := range packets {
			count(s, p, 1)
		}
		s.pending = s.pending[:0]
	}); n != 0 {
		t.Errorf("%v allocations for %d packets", n, len(packets))
	}
}

// BenchmarkCount is what a packet costs the queue's goroutine: its flow was there, or another has to go.
func BenchmarkCount(b *testing.B) {
	for _, c := range []struct {
		name         string
		flows, table int
	}{{"1 flow", 1, 1 << 16}, {"1000 flows", 1000, 1 << 16}, {"50000 flows", 50_000, 1 << 16}, {"each one new", 50_000, 1 << 12}} {
		b.Run(c.name, func(b *testing.B) {
			_, s := testShard(b, Config{Flows: c.table, Pending: 1})
			p := testpackets.Receive(b, gro.Config{Off: true}, bytesOf(frames.TCP(from4, to4, 1, nil)))[0]
			ports := p.Data()[26:]
			b.ReportAllocs()
			for i := uint32(0); b.Loop(); i++ {
				binary.BigEndian.PutUint32(ports, i%uint32(c.flows)) // the source address
				count(s, p, int64(i))
			}
		})
	}
	b.Run("45 merged", func(b *testing.B) {
		_, s := testShard(b, Config{})
		var list [][]byte
		for i := range 45 {
			list = append(list, bytesOf(frames.TCP(from6, to6, uint32(i*1400), make([]byte, 1400))))
		}
		p := testpackets.Receive(b, gro.Config{}, list...)[0]
		if p.Count() != 45 {
			b.Fatalf("%d merged", p.Count())
		}
		for b.Loop() {
			count(s, p, 1) // retransmitted each time but the first: the long way
		}
	})
}
